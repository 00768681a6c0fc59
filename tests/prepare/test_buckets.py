"""Which bucket a picture falls into, and how it fills it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.prepare.buckets import Window, centre, corner, fill, mirrored, nearest

BUCKETS = ((64, 64), (96, 64), (64, 96))
SIDE = st.integers(1, 400)
BUCKET = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda sides: (8 * sides[0], 8 * sides[1]))


@pytest.mark.parametrize(
    ("size", "bucket"), [((100, 100), (64, 64)), ((150, 100), (96, 64)), ((100, 150), (64, 96)), ((5000, 10), (96, 64))]
)
def test_the_bucket_of_the_nearest_aspect_is_chosen(size, bucket):
    assert nearest(*size, BUCKETS) == bucket


def test_of_equally_near_buckets_the_first_is_chosen():
    assert nearest(100, 100, ((96, 64), (64, 96))) == (96, 64)
    assert nearest(100, 100, ((64, 96), (96, 64))) == (64, 96)
    assert nearest(100, 100, ((128, 128), (64, 64))) == (128, 128)


@given(SIDE, SIDE, st.lists(BUCKET, min_size=1, max_size=6), st.integers(2, 9))
def test_size_does_not_matter_and_aspect_does(width, height, buckets, factor):
    chosen = nearest(width, height, buckets)
    assert chosen in buckets
    assert nearest(width * factor, height * factor, buckets) == chosen


@given(SIDE, SIDE, st.lists(BUCKET, min_size=1, max_size=6))
def test_turned_by_a_right_angle_a_picture_falls_into_a_bucket_as_near(width, height, buckets):
    def apart(size, bucket):
        return abs(np.log(bucket[0] / bucket[1]) - np.log(size[0] / size[1]))

    turned = nearest(height, width, [(high, wide) for wide, high in buckets])
    assert apart((height, width), turned) == pytest.approx(apart((width, height), nearest(width, height, buckets)))


@given(SIDE, SIDE, BUCKET)
def test_a_picture_of_any_shape_fills_its_bucket(width, height, bucket):
    filled = fill(np.zeros((height, width, 3), dtype=np.uint8), bucket)
    assert filled.shape == (bucket[1], bucket[0], 3)
    assert filled.dtype == np.uint8
    assert filled.flags.c_contiguous


def test_a_picture_of_the_buckets_size_is_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert (fill(pixels, (96, 64)) == pixels).all()


def test_the_middle_is_kept_and_the_edges_cut():
    pixels = np.zeros((64, 192, 3), dtype=np.uint8)
    pixels[:, 64:128] = 200
    assert (fill(pixels, (64, 64)) == 200).all()
    assert (fill(pixels.swapaxes(0, 1), (64, 64)) == 200).all()


def test_nothing_is_stretched():
    rows, columns = np.mgrid[:200, :300]
    disc = ((rows - 100) ** 2 + (columns - 150) ** 2 < 80**2).astype(np.uint8)[..., None] * np.full(3, 255, np.uint8)
    filled = fill(disc, (64, 64))[..., 0] > 127
    assert abs(int(filled.any(axis=0).sum()) - int(filled.any(axis=1).sum())) <= 1


def test_the_corner_is_counted_in_the_picture_as_it_is_scaled():
    """As diffusers has it: 1200 by 800 scaled to 96 by 64, then 64 of its middle kept."""
    assert corner(centre(1200, 800, (64, 64)), Window(0, 0, 1200, 800), (64, 64)) == (16, 0)
    part_of_part = Window(10, 20, 100, 50)
    assert corner(part_of_part, Window(30, 40, 400, 300), (200, 100)) == (80, 120)


def test_the_corner_in_the_mirror_is_what_lay_right_of_the_part():
    assert mirrored(Window(30, 40, 400, 300), 100) == Window(270, 40, 400, 300)
