"""Stills: the first frame of each scene, some steadily after it, and no two alike."""

import numpy as np
import pytest

from stages.frames.stills import stills


@pytest.fixture
def times(settings_of):
    """The times of the stills of a video, in milliseconds."""

    def of(video, **how):
        return [shown.time_ms for shown in stills(video, settings_of(**how))]

    return of


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "ffv1"), ("mp4", "mpeg4"), ("avi", "mpeg4")])
def test_the_first_frame_and_one_each_second_are_taken(film, times, suffix, codec):
    base = 10 if suffix == "avi" else 1000  # an AVI has one rate
    assert times(film(30, 10, suffix=suffix, codec=codec, base=base)) == [0.0, 1000.0, 2000.0]


def test_each_still_is_the_frame_of_its_time(film, settings_of):
    for shown in stills(film(30, 10), settings_of(every_s=0.5)):
        assert np.unique(shown.pixels()).tolist() == [6 * shown.time_ms / 100]


def test_between_two_frames_the_next_one_is_taken(film, times):
    assert times(film(16, 8), every_s=0.3) == [0.0, 375.0, 625.0, 1000.0, 1250.0, 1500.0, 1875.0]


def test_an_interval_shorter_than_a_frame_takes_every_frame_once(film, times):
    assert times(film(5, 10), every_s=0.001) == [0.0, 100.0, 200.0, 300.0, 400.0]


def test_an_interval_longer_than_the_video_takes_the_first_frame(film, times):
    assert times(film(30, 10), every_s=60.0) == [0.0]


def test_no_more_than_the_most_are_taken(film, times):
    assert times(film(30, 10), every_s=0.5, max_stills=3) == [0.0, 500.0, 1000.0]


def test_after_a_long_frame_no_stills_crowd_together(encoded, times):
    at = [*range(0, 600, 100), *range(3600, 7000, 100)]  # the frame at 0.5 s stays for 3.1 s
    pictures = [np.full((48, 64, 3), 6 * number, dtype=np.uint8) for number in range(len(at))]
    assert times(encoded(pictures, at)) == [0.0, 3600.0, 4000.0, 5000.0, 6000.0]


def test_cuts_are_taken_at_exactly_their_times(encoded, scenes, times):
    lengths, rng = [24, 31, 17, 40], np.random.default_rng(5)
    at = np.cumsum(rng.integers(20, 61, sum(lengths))).tolist()  # every frame stays for another time
    expected = [float(at[number] - at[0]) for number in np.cumsum([0, *lengths[:-1]])]
    assert times(encoded(scenes(lengths), at), every_s=60.0) == expected
    assert times(encoded(scenes(lengths), at, "mp4", "libx264"), every_s=60.0) == expected


def test_at_a_cut_the_clock_starts_anew(encoded, scenes, times):
    video = encoded(scenes([17, 30]), range(0, 4700, 100))
    assert times(video) == [0.0, 1000.0, 1700.0, 2700.0, 3700.0]


def test_cuts_that_follow_too_soon_are_no_scenes_of_their_own(encoded, scenes, times):
    video = encoded(scenes([10, 3, 10]), range(0, 2300, 100))
    assert times(video, every_s=60.0, min_scene_s=0.5) == [0.0, 1000.0]
    assert times(video, every_s=60.0, min_scene_s=0.3) == [0.0, 1000.0, 1300.0]


def test_a_still_like_the_one_before_is_left_out(encoded, scenes, times):
    first, second = scenes([1, 1])
    rng = np.random.default_rng(0)
    noisy = [np.clip(first + rng.normal(0, 1, first.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    video = encoded([*noisy, *[second] * 10, *noisy[:10]], range(0, 5000, 100))
    assert times(video, min_change=2.0) == [0.0, 3000.0, 4000.0]
    assert times(video, min_change=0.0) == [0.0, 1000.0, 2000.0, 3000.0, 4000.0]


def test_plain_pictures_of_two_greys_are_not_alike(encoded, times):
    pictures = [np.full((48, 64, 3), level, dtype=np.uint8) for level in [20] * 10 + [230] * 10]
    assert times(encoded(pictures, range(0, 2000, 100))) == [0.0, 1000.0]


def test_what_lies_beyond_the_limits_gives_no_stills(film, times):
    assert times(film(30, 10), max_seconds=1.0) == [0.0, 1000.0]
    assert times(film(30, 10), max_frames=10) == [0.0]
