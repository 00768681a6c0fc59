"""Frames carry the time at which they are shown, whatever the rate, and stand upright."""

import io
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from stages import images
from stages.errors import ImageError
from stages.frames import decoding
from stages.frames.decoding import Limits, frames

LIMITS = Limits(max_seconds=60.0, max_frames=1000)
UNEVEN = [0, 40, 45, 200, 201, 333, 1000, 1033, 1900, 4000]  # milliseconds


def grey(number):
    return np.full((48, 64, 3), 20 * number, dtype=np.uint8)


def quadrants():
    """A picture of which each corner is another grey, brightest at the upper left, then clockwise darker."""
    picture = np.empty((48, 64, 3), dtype=np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, 32:], picture[24:, :32] = 240, 160, 80, 0
    return picture


def corners(pixels):
    return [int(pixels[y, x, 1]) for y, x in ((4, 4), (4, -4), (-4, -4), (-4, 4))]


def test_every_frame_comes_once_in_its_order_with_its_exact_pixels(encoded):
    pictures = [grey(number) for number in range(10)]
    shown = list(frames(encoded(pictures, range(0, 1000, 100)), LIMITS))
    assert [each.time_ms for each in shown] == [100.0 * number for number in range(10)]
    for each, picture in zip(shown, pictures, strict=True):
        np.testing.assert_array_equal(each.pixels(), picture)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "ffv1"), ("mp4", "libx264"), ("mp4", "mpeg4"), ("webm", "libvpx-vp9")]
)
def test_a_variable_rate_is_exact(encoded, suffix, codec):
    pictures = [grey(number) for number in range(len(UNEVEN))]
    shown = list(frames(encoded(pictures, UNEVEN, suffix, codec), LIMITS))
    assert [each.time_ms for each in shown] == UNEVEN
    for number, each in enumerate(shown):
        assert abs(each.pixels().mean() - 20 * number) < 6


def test_the_time_stamp_is_exact_where_milliseconds_are_not(encoded):
    video = encoded([grey(1)] * 4, [0, 1000 / 30, 2000 / 30, 100], "mp4", "libx264", base=30_000)
    shown = list(frames(video, LIMITS))
    exact = [(each.pts * Fraction(each.time_base)) for each in shown]
    assert [each - exact[0] for each in exact] == [0, Fraction(1, 30), Fraction(2, 30), Fraction(3, 30)]
    assert [each.time_ms for each in shown] == [0.0, 33.333, 66.667, 100.0]


def test_a_video_that_begins_late_begins_at_0(encoded):
    first, second = frames(encoded([grey(1), grey(2)], [5000, 5040]), LIMITS)
    assert (first.time_ms, second.time_ms) == (0.0, 40.0)
    assert first.pts * Fraction(first.time_base) == 5


@pytest.mark.parametrize(
    ("degrees", "expected"), [(90, [0, 240, 160, 80]), (180, [80, 0, 240, 160]), (270, [160, 80, 0, 240])]
)
def test_a_turned_video_stands_upright(encoded, turned, degrees, expected):
    video = turned(encoded([quadrants()] * 3, [0, 100, 200], "mp4", "libx264"), degrees)
    for each in frames(video, LIMITS):
        assert each.pixels().shape == ((64, 48, 3) if degrees != 180 else (48, 64, 3))
        np.testing.assert_allclose(corners(each.pixels()), expected, atol=8)


def test_colours_are_red_green_blue(encoded):
    (shown,) = frames(encoded([np.full((48, 64, 3), (250, 60, 5), dtype=np.uint8)], [0]), LIMITS)
    assert shown.pixels()[24, 32].tolist() == [250, 60, 5]
    assert shown.pixels().dtype == np.uint8


def test_the_small_picture_keeps_the_sides_and_is_never_larger(encoded):
    (shown,) = frames(encoded([np.zeros((120, 960, 3), dtype=np.uint8)], [0]), LIMITS)
    assert shown.small().shape == (12, decoding.SMALL, 3)
    (shown,) = frames(encoded([quadrants()], [0]), LIMITS)
    np.testing.assert_allclose(shown.small(), quadrants(), atol=2)
    (shown,) = frames(encoded([np.zeros((2, 960, 3), dtype=np.uint8)], [0]), LIMITS)
    assert shown.small().shape == (1, decoding.SMALL, 3)


def test_no_more_seconds_and_frames_are_decoded_than_allowed(film):
    video = film(30, 10)
    assert len(list(frames(video, Limits(max_seconds=1.0, max_frames=1000)))) == 11
    assert len(list(frames(video, Limits(max_seconds=60.0, max_frames=7)))) == 7


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00" * 5000])
def test_what_is_no_video_is_an_image_error(content):
    with pytest.raises(ImageError, match="not a video that can be decoded"):
        list(frames(content, LIMITS))


def test_a_list_that_names_another_file_is_not_followed(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.mkv").write_bytes(film(3))
    names = b"ffconcat version 1.0\nfile secret.mkv\n"
    with av.open(io.BytesIO(names)) as followed:
        assert len(list(followed.decode(video=0))) == 3  # what FFmpeg does by itself
    with pytest.raises(ImageError, match="not a video that can be decoded"):
        list(frames(names, LIMITS))


def test_a_format_that_pages_do_not_show_is_an_image_error(film):
    with pytest.raises(ImageError, match="not a video that can be decoded"):
        list(frames(film(3, suffix="nut"), LIMITS))


def test_a_songs_cover_is_no_video_track(song):
    with pytest.raises(ImageError, match="has no video track"):
        list(frames(song, LIMITS))


def test_a_file_of_sound_has_no_video_track(sound):
    with pytest.raises(ImageError, match="has no video track"):
        list(frames(sound, LIMITS))


def test_sound_beside_the_pictures_changes_nothing(film):
    buffer, video = io.BytesIO(), film(5)
    with av.open(io.BytesIO(video)) as source, av.open(buffer, "w", format="matroska") as container:
        sound = container.add_stream("flac", rate=8000)
        track = container.add_stream_from_template(source.streams.video[0])
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        samples.rate, samples.pts = 8000, 0
        container.mux(sound.encode(samples))
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                container.mux(packet)
        container.mux(sound.encode())
    assert [each.time_ms for each in frames(buffer.getvalue(), LIMITS)] == [0.0, 100.0, 200.0, 300.0, 400.0]


def test_a_video_that_is_cut_off_gives_what_is_there(film):
    video, whole = film(30, 10), list(frames(film(30, 10), LIMITS))
    shown = list(frames(video[: len(video) // 2], LIMITS))
    assert 5 < len(shown) < len(whole)
    for each, expected in zip(shown, whole, strict=False):
        np.testing.assert_array_equal(each.pixels(), expected.pixels())


def test_a_damaged_frame_is_stepped_over(encoded):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(5)]
    video = encoded(pictures, range(0, 500, 100), "mov", "png")
    middle = len(video) // 2
    shown = list(frames(video[: middle - 2000] + bytes(4000) + video[middle + 2000 :], LIMITS))
    assert [each.time_ms for each in shown] == [0.0, 100.0, 300.0, 400.0]
    np.testing.assert_array_equal(shown[-1].pixels(), pictures[-1])


def test_a_time_that_comes_twice_or_goes_back_and_a_frame_without_time_are_left_out():
    decoded = [
        SimpleNamespace(pts=pts, width=64, height=48, is_corrupt=corrupt)
        for pts, corrupt in ((0, False), (0, False), (None, False), (3, False), (2, False), (4, True), (5, False))
    ]
    packets = [SimpleNamespace(decode=lambda frame=frame: [frame]) for frame in decoded]
    container = SimpleNamespace(demux=lambda track: packets)
    assert [pts for pts, _ in decoding._decoded(container, None)] == [0, 3, 5]


def test_an_mp4_without_its_directory_is_an_image_error(film):
    video = film(suffix="mp4", codec="mpeg4")
    with pytest.raises(ImageError, match="not a video"):
        list(frames(video[: video.index(b"moov")], LIMITS))


def test_a_video_of_which_every_frame_is_damaged_is_an_image_error(film):
    video = film(10, suffix="mp4", codec="mpeg4")
    start = video.index(b"mdat") + 4
    length = int.from_bytes(video[start - 8 : start - 4], "big") - 8
    with pytest.raises(ImageError, match="no frame of its video track can be decoded"):
        list(frames(video[:start] + bytes(length) + video[start + length :], LIMITS))


def test_frames_with_too_many_pixels_are_an_image_error(film, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 48 * 64 - 1)
    assert images.MAX_PIXELS > 48 * 64
    with pytest.raises(ImageError, match="64 x 48 pixels; at most 3,071 are decoded"):
        list(frames(film(), LIMITS))
