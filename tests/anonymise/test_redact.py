"""Regions made unrecognisable, and not a pixel beyond."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.anonymise.redact import CELLS, redact
from stages.records import Region

METHODS = ("pixelate", "blur", "fill")


def box(left, top, width, height):
    return Region(score=1.0, landmarks=(), left=left, top=top, width=width, height=height)


BOX = box(30, 20, 40, 30)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_pixels_outside_the_box_stay_and_inside_change(pixels, method):
    before = pixels.copy()
    result = redact(pixels, [BOX], method=method, margin=0.0)
    changed = (result != pixels).any(axis=2)
    assert not changed[:20].any()
    assert not changed[50:].any()
    assert not changed[:, :30].any()
    assert not changed[:, 70:].any()
    assert changed[20:50, 30:70].mean() > 0.9
    assert (pixels == before).all()
    assert (result.shape, result.dtype) == (pixels.shape, np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_the_margin_widens_the_box_on_every_side(pixels, method):
    changed = (redact(pixels, [BOX], method=method, margin=0.1) != pixels).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (17, 52, 26, 73)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "box",
    [
        Region(score=1.0, landmarks=(), left=-10, top=-10, width=30, height=30),
        Region(score=1.0, landmarks=(), left=100, top=80, width=50, height=50),
        Region(score=1.0, landmarks=(), left=500, top=500, width=10, height=10),
        Region(score=1.0, landmarks=(), left=0, top=0, width=1, height=1),
        Region(score=1.0, landmarks=(), left=5, top=5, width=0, height=0),
        Region(score=1.0, landmarks=(), left=0, top=50, width=120, height=1),
    ],
)
def test_a_box_at_or_beyond_the_edge_is_no_crash(pixels, method, box):
    assert redact(pixels, [box], method=method, margin=0.2).shape == pixels.shape


@given(
    st.lists(st.builds(box, *[st.integers(-40, 160)] * 2, *[st.integers(0, 90)] * 2), max_size=4),
    st.sampled_from(METHODS),
    st.floats(0, 1),
)
def test_no_pixel_beyond_the_widened_boxes_changes(boxes, method, margin):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    inside = np.zeros((100, 120), dtype=bool)
    for each in boxes:
        aside, above = round(each.width * margin), round(each.height * margin)
        rows = np.s_[max(0, each.top - above) : max(0, each.top + each.height + above)]
        inside[rows, max(0, each.left - aside) : max(0, each.left + each.width + aside)] = True
    changed = (redact(pixels, boxes, method=method, margin=margin) != pixels).any(axis=2)
    assert not changed[~inside].any()


@pytest.mark.parametrize("method", METHODS)
def test_a_large_face_costs_little_more_than_a_small_one(method):
    large = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    start = time.process_time()
    redact(large, [box(500, 500, 2000, 2000)], method=method, margin=0.2)
    assert time.process_time() - start < 5  # a blur at full size took minutes


def test_pixelating_leaves_no_more_cells_than_it_says(pixels):
    region = redact(pixels, [BOX], method="pixelate", margin=0.0)[20:50, 30:70]
    assert len(np.unique(region.reshape(-1, 3), axis=0)) <= CELLS * 4  # 40 x 30 pixels: 5 x 4 cells


def test_filling_leaves_the_mean_colour(pixels):
    region = redact(pixels, [BOX], method="fill", margin=0.0)[20:50, 30:70]
    assert np.unique(region.reshape(-1, 3), axis=0).tolist() == [
        pixels[20:50, 30:70].mean(axis=(0, 1)).round().tolist()
    ]


def test_blurring_leaves_little_contrast(pixels):
    region = redact(pixels, [BOX], method="blur", margin=0.0)[20:50, 30:70]
    assert region.std() < 0.1 * pixels[20:50, 30:70].std()


def test_without_boxes_nothing_changes(pixels):
    result = redact(pixels, [], method="fill", margin=0.5)
    assert (result == pixels).all()
    assert result is not pixels
