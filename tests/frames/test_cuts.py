"""Cuts are found where scenes meet, and nowhere else."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.frames import cuts
from stages.frames.cuts import Config, change, first_of_scenes

CONFIG = Config(min_change=15.0, ratio=3.0, min_scene_s=0.0)


def plain(*colour):
    return np.full((4, 6, 3), colour, dtype=np.uint8)


def found(pictures, config=CONFIG):
    """The numbers of the frames with which scenes begin."""
    marked = first_of_scenes(range(len(pictures)), lambda number: pictures[number], config)
    return [number for number, _, cut in marked if cut]


def test_equal_frames_do_not_change_and_opposite_ones_do():
    assert change(plain(9, 99, 199), plain(9, 99, 199)) == 0.0
    assert change(plain(0, 0, 0), plain(255, 255, 255)) == 85.0  # of three channels only the value


def test_hues_lie_on_a_circle():
    almost_red, red = plain(255, 0, 8), plain(255, 8, 0)
    assert change(almost_red, red) < 2
    assert change(plain(255, 0, 0), plain(0, 255, 255)) == 30.0  # 90 of 180 hues, a third of the channels


def test_frames_of_two_sizes_differ_wholly():
    assert change(plain(1, 2, 3), plain(1, 2, 3)[:2]) == 255.0


@pytest.mark.parametrize("lengths", [[20, 15, 30], [1, 10, 10], [3, 3, 3, 3], [10, 10, 1], [40]])
def test_cuts_are_found_exactly_where_the_scenes_meet(scenes, lengths):
    assert found(scenes(lengths)) == list(np.cumsum(lengths)[:-1])


def test_a_fast_pan_is_no_cut(scenes):
    pan = scenes([40], step=16)
    changes = [change(one, other) for one, other in pairwise(pan)]
    assert np.mean(changes) > CONFIG.min_change  # a threshold alone would cut everywhere
    assert found(pan) == []


def test_a_slow_fade_is_no_cut():
    assert found([plain(level, level, level) for level in range(0, 250, 10)]) == []


def test_a_small_change_in_stillness_is_no_cut():
    assert found([plain(100, 100, 100)] * 5 + [plain(120, 120, 120)] * 5) == []
    assert found([plain(100, 100, 100)] * 5 + [plain(150, 150, 150)] * 5) == [5]


def test_noise_is_no_cut(scenes):
    rng = np.random.default_rng(0)
    still = scenes([1])[0].astype(np.int16)
    noisy = [np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    assert found(noisy) == []


def test_the_same_cuts_are_found_at_half_the_size(scenes):
    pictures = [cv2.resize(each, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for each in scenes([12, 20, 9])]
    assert found(pictures) == [12, 32]


@given(st.lists(st.integers(0, 255), max_size=12))
def test_every_frame_comes_back_once_and_in_its_order(levels):
    pictures = [plain(level, level, level) for level in levels]
    marked = list(first_of_scenes(range(len(levels)), lambda number: pictures[number], CONFIG))
    assert [number for number, _, _ in marked] == list(range(len(levels)))
    assert not any(cut for _, _, cut in marked[:1])


def test_no_more_frames_are_held_than_the_window():
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    marked = first_of_scenes(endless(), lambda _: plain(0, 0, 0), CONFIG)
    for _ in range(5):
        next(marked)
    assert len(taken) == 5 + cuts.WINDOW
