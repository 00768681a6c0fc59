"""Stills carry the time at which they are shown, whatever the rate."""

import numpy as np
import pytest

from stages.errors import ImageError
from stages.frames.stills import stills


def times(video, every_s=1.0, most=100):
    return [time_ms for time_ms, _ in stills(video, every_s=every_s, most=most)]


@pytest.mark.parametrize(("suffix", "code"), [("mp4", "mp4v"), ("avi", "MJPG")])
def test_the_first_frame_and_one_each_second_are_taken(film, suffix, code):
    assert times(film(30, 10, suffix, code)) == [0.0, 1000.0, 2000.0]


def test_each_still_is_the_frame_of_its_time(film):
    for time_ms, pixels in stills(film(30, 10), every_s=0.5, most=100):
        assert pixels.shape == (48, 64, 3)
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - 6 * time_ms / 100).max() <= 6


def test_between_two_frames_the_next_one_is_taken(film):
    assert times(film(16, 8), every_s=0.3) == [0.0, 375.0, 625.0, 1000.0, 1250.0, 1500.0, 1875.0]


def test_an_interval_shorter_than_a_frame_takes_every_frame_once(film):
    assert times(film(5, 10), every_s=0.001) == [0.0, 100.0, 200.0, 300.0, 400.0]


def test_an_interval_longer_than_the_video_takes_the_first_frame(film):
    assert times(film(30, 10), every_s=60.0) == [0.0]


def test_no_more_than_the_most_are_taken(film):
    assert times(film(30, 10), every_s=0.5, most=3) == [0.0, 500.0, 1000.0]


def test_after_a_long_frame_no_stills_crowd_together(film, halting):
    video = halting(film(40, 10), frame=5, times=31)  # the frame at 0.5 s stays for 3.1 s
    assert times(video) == [0.0, 3600.0, 4000.0, 5000.0, 6000.0]


def test_colours_are_red_green_blue(tmp_path):
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 255), dtype=np.uint8))  # OpenCV's red
    writer.release()
    ((_, pixels),) = stills((tmp_path / "a.avi").read_bytes(), every_s=1.0, most=1)
    assert pixels[24, 32, 0] > 240
    assert pixels[24, 32, 1:].max() < 15


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00" * 5000])
def test_what_is_no_video_is_an_image_error(content):
    with pytest.raises(ImageError, match="not a video that can be decoded"):
        times(content)


def test_a_video_without_its_directory_is_an_image_error(film):
    video = film()
    with pytest.raises(ImageError):
        times(video[: video.index(b"moov")])
