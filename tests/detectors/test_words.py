"""Text that was drawn is found, and what is none is not."""

import cv2
import numpy as np
import pytest

from stages import detectors, specimens
from stages.detectors.words import LEAST, Config, build, lines
from stages.errors import ModelError


@pytest.fixture(scope="module")
def detect():
    return build(Config(side=960, min_score=0.5))


def written(text, at, *, on, scale=1.0):
    """``text`` drawn into a copy of the picture ``on``, and which pixels are ink, bool[H, W]."""
    pixels = on.copy()
    cv2.putText(pixels, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 2, cv2.LINE_AA)
    return pixels, (pixels != on).any(axis=2)


def covered(regions, ink):
    """The share of ``ink`` under the regions."""
    mask = np.zeros_like(ink)
    for each in regions:
        mask[each.top : each.top + each.height, each.left : each.left + each.width] = True
    return mask[ink].mean()


@pytest.mark.parametrize("text", ["B-XY 4711", "Anna Example", "0170 123456"])
def test_drawn_words_are_covered(detect, text):
    pixels, ink = written(text, (40, 120), on=np.full((200, 400, 3), 235, dtype=np.uint8))
    assert covered(detect(pixels), ink) > 0.98


def test_a_number_plate_in_a_photograph_is_covered_and_little_else(detect):
    wall = specimens.photograph("brick")
    wall[290:350, 130:380] = 240
    pixels, ink = written("B-XY 4711", (140, 335), on=wall, scale=1.4)
    regions = detect(pixels)
    assert covered(regions, ink) > 0.98
    assert sum(each.width * each.height for each in regions) < 2 * 250 * 60


def test_every_line_of_a_printed_page_is_found(detect):
    import skimage.data

    page = np.stack([skimage.data.page()] * 3, axis=-1)
    assert len(detect(page)) >= 7


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coins", "astronaut"])
def test_a_photograph_without_text_has_none(detect, name):
    assert detect(specimens.photograph(name)) == ()


def test_words_in_a_large_picture_are_in_its_own_pixels(detect):
    pixels, _ = written("B-XY 4711", (40, 120), on=np.full((200, 400, 3), 235, dtype=np.uint8))
    large = cv2.resize(pixels, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    assert covered(build(Config(side=400, min_score=0.5))(large), large.min(axis=2) < 100) > 0.98


@pytest.mark.parametrize("shape", [(1, 1, 3), (31, 33, 3), (2000, 1, 3)])
def test_pictures_of_any_shape_are_searched(detect, shape):
    assert detect(np.zeros(shape, dtype=np.uint8)) == ()


def test_a_patch_of_text_grows_as_it_was_shrunk():
    text = np.zeros((64, 96), np.float32)
    text[20:30, 40:60] = 0.9
    ((box, score),) = lines(text, min_score=0.5)
    grow = 200 * 1.6 / 60
    assert box == pytest.approx((40 - grow, 20 - grow, 60 + grow, 30 + grow))
    assert score == pytest.approx(0.9)


def test_thin_and_unsure_patches_are_none():
    text = np.zeros((64, 96), np.float32)
    text[2 : 2 + LEAST - 1, 4:60] = 0.9
    text[30:40, 4:60] = 0.4
    assert list(lines(text, min_score=0.5)) == []
    assert len(list(lines(text, min_score=0.35))) == 1


def test_without_the_wheel_one_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(detectors, "find_spec", lambda package: None)
    with pytest.raises(ModelError, match=r"are not there; `pip install --no-deps rapidocr-onnxruntime==1.4.4`"):
        build(Config(side=960, min_score=0.5))
