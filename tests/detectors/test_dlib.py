"""dlib's detector on the one face of scikit-image, and on what is none."""

import sys

import cv2
import numpy as np
import pytest

from stages import plugins, specimens
from stages.detectors.dlib import Config, build
from stages.errors import ModelError

NOSE = (164, 118)  # in the portrait


def detect(pixels, **others):
    return build(Config(**({"side": 1024, "doublings": 1, "min_score": 0.2} | others)))(pixels)


def test_the_astronauts_face_is_found_once(portrait):
    (box,) = detect(portrait)
    assert box.left < NOSE[0] < box.left + box.width
    assert box.top < NOSE[1] < box.top + box.height
    assert 60 < box.width < 130
    assert 0.2 < box.score <= 1
    assert box.landmarks == ()


def test_a_large_picture_is_searched_small_and_the_box_is_in_its_own_pixels(portrait):
    large = cv2.resize(portrait, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (box,) = detect(large, side=300)
    assert box.left < 4 * NOSE[0] < box.left + box.width
    assert 240 < box.width < 520


def test_small_faces_are_found_at_twice_the_size(portrait):
    small = cv2.resize(portrait, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    assert detect(small, doublings=0) == ()
    assert len(detect(small)) == 1


def test_a_face_at_the_edge_stays_inside_the_picture(portrait):
    cut = portrait[:, 122:]
    (box,) = detect(cut, min_score=0.0)
    assert box.left == 0
    assert box.left + box.width <= cut.shape[1]


def test_more_certainty_finds_less():
    whole = specimens.photograph("astronaut")
    assert len(detect(whole, min_score=0.1)) == 2  # the face, and a patch of the suit
    assert len(detect(whole)) == 1


@pytest.mark.parametrize("name", ["brick", "grass", "coins", "chelsea"])
def test_what_is_no_face_is_not_found(name):
    assert detect(specimens.crop(specimens.photograph(name), (0, 0, 200, 200))) == ()


@pytest.mark.parametrize("shape", [(1, 1, 3), (23, 200, 3), (3000, 1, 3)])
def test_a_picture_smaller_than_the_window_has_no_face(shape):
    assert detect(np.zeros(shape, dtype=np.uint8)) == ()


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ModelError, match=r"dlib is not installed; pip install 'darkroom\[dlib\]'"):
        plugins.build("stages.detectors", {"name": "dlib", "side": 64, "doublings": 0, "min_score": 0.2})
