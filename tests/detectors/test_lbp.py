"""The face detector on the one face of scikit-image, and on what is none."""

import cv2
import numpy as np
import pytest

from stages import specimens
from stages.detectors.lbp import Config, build

NOSE = (164, 118)  # in the portrait


def detect(pixels, **others):
    return build(Config(**({"side": 512, "min_face": 0.12, "min_neighbours": 10} | others)))(pixels)


def test_the_astronauts_face_is_found_once(portrait):
    (box,) = detect(portrait)
    assert box.left < NOSE[0] < box.left + box.width
    assert box.top < NOSE[1] < box.top + box.height
    assert 60 < box.width < 130


def test_a_large_picture_is_searched_small_and_the_box_is_in_its_own_pixels(portrait):
    large = cv2.resize(portrait, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (box,) = detect(large, side=300)
    assert box.left < 4 * NOSE[0] < box.left + box.width
    assert box.top < 4 * NOSE[1] < box.top + box.height
    assert 240 < box.width < 520


def test_two_faces_are_sorted_by_their_place(portrait):
    twice = np.concatenate([portrait[:, 60:280]] * 2, axis=1)
    boxes = detect(twice)
    assert len(boxes) == 2
    assert list(boxes) == sorted(boxes, key=lambda box: (box.top, box.left, box.width))
    assert detect(twice) == boxes


@pytest.mark.parametrize("name", ["brick", "grass", "coins", "chelsea"])
def test_what_is_no_face_is_not_found(name):
    assert detect(specimens.crop(specimens.photograph(name), (0, 0, 200, 200))) == ()


def test_a_face_smaller_than_the_least_is_not_found(portrait):
    assert detect(portrait, min_face=0.9) == ()


@pytest.mark.parametrize("shape", [(1, 1, 3), (23, 200, 3), (24, 24, 3), (3000, 1, 3)])
def test_a_picture_smaller_than_the_window_has_no_face(shape):
    assert detect(np.zeros(shape, dtype=np.uint8)) == ()
