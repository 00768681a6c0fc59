import numpy as np
import pytest

from stages import specimens
from stages.compare.motion import consistency, warp_error

VIEW = specimens.photograph("coffee")


def window(x, y=0, side=160):
    return np.ascontiguousarray(VIEW[100 + y : 100 + y + side, 150 + x : 150 + x + side])


def plain_error(one, other):
    return float(np.mean((one / 255 - other / 255) ** 2))


def test_frames_that_do_not_change_are_wholly_consistent():
    assert consistency(np.tile([[1.0, 2.0, 3.0]], (4, 1))) == pytest.approx(1)


def test_consistency_is_the_mean_cosine_of_neighbours_alone():
    frames = np.array([[1.0, 0], [0, 2], [0, 3], [-1, 0]])
    assert consistency(frames) == pytest.approx((0 + 1 + 0) / 3)


def test_a_frame_and_itself_have_no_error():
    assert warp_error(window(0), window(0)) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(("x", "y"), [(4, 0), (0, -3), (5, 2)])
def test_motion_is_no_error(x, y):
    one, moved = window(0), window(x, y)
    assert warp_error(one, moved) < 0.05 * plain_error(one, moved)


def test_flicker_is_an_error_that_motion_does_not_explain():
    one, moved = window(0), window(3)
    brighter = np.clip(moved.astype(int) + 25, 0, 255).astype(np.uint8)
    assert warp_error(one, brighter) > 10 * warp_error(one, moved)


def test_always_the_same_number():
    assert warp_error(window(0), window(4)) == warp_error(window(0), window(4))
