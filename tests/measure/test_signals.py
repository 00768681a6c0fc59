"""Sharpness and exposure, against pictures whose values are known."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import specimens
from stages.measure import signals


def test_more_blur_is_less_sharp():
    pixels = specimens.photograph("chelsea")
    pictures = [pixels, *(cv2.GaussianBlur(pixels, (0, 0), sigma) for sigma in (1, 2, 4, 8))]
    sharpness = [signals.laplacian_variance(signals.grey(signals.smaller(each, side=512))) for each in pictures]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 10 * sharpness[2]


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_flat_picture_has_its_own_brightness_no_contrast_and_no_sharpness(value):
    image = signals.grey(np.full((40, 60, 3), value, dtype=np.uint8))
    assert signals.exposure(image) == pytest.approx((value, 0.0))
    assert signals.laplacian_variance(image) == 0.0


def test_half_black_half_white_has_the_largest_contrast():
    image = np.zeros((10, 10), dtype=np.uint8)
    image[5:] = 255
    assert signals.exposure(image) == pytest.approx((127.5, 127.5))


def test_the_variance_of_the_laplacian_is_that_of_its_definition():
    image = np.zeros((5, 5), dtype=np.uint8)
    image[2, 2] = 10  # its Laplacian is -40 there and 10 beside it
    values = np.array([-40] + [10] * 4 + [0] * 20)
    assert signals.laplacian_variance(image) == pytest.approx(values.var())


def test_grey_weighs_red_green_and_blue_as_the_eye_does():
    pixels = np.zeros((1, 3, 3), dtype=np.uint8)
    pixels[0, [0, 1, 2], [0, 1, 2]] = 255
    assert signals.grey(pixels).tolist() == [[76, 150, 29]]


def test_colour_is_measured_as_hasler_and_suesstrunk_define_it():
    pixels = np.random.default_rng(3).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    red, green, blue = (pixels[..., channel].astype(float) for channel in range(3))
    one, two = red - green, 0.5 * (red + green) - blue
    expected = np.hypot(one.std(), two.std()) + 0.3 * np.hypot(one.mean(), two.mean())
    assert signals.colourfulness(pixels) == pytest.approx(expected, rel=0.005)


def test_a_colourful_photograph_is_more_colourful_than_a_pale_one():
    pale, mild, rich = (signals.colourfulness(specimens.photograph(name)) for name in ("coins", "brick", "retina"))
    assert pale == 0
    assert mild < 33 < rich


@pytest.mark.parametrize(("values", "bits"), [([0], 0.0), ([0, 255], 1.0), (range(256), 8.0), ([1, 1, 1, 9], 0.8113)])
def test_entropy_is_in_bits(values, bits):
    assert signals.entropy(signals.histogram(np.array([list(values)], dtype=np.uint8))) == pytest.approx(bits, abs=1e-4)


@pytest.mark.parametrize(
    ("value", "tails"), [(0, (1, 0)), (31, (1, 0)), (32, (0, 0)), (223, (0, 0)), (224, (0, 1)), (255, (0, 1))]
)
def test_near_black_and_near_white_end_where_they_say(value, tails):
    assert signals.extremes(signals.histogram(np.full((3, 3), value, dtype=np.uint8))) == tails


def test_a_large_and_a_small_copy_are_as_sharp_as_each_other():
    pixels = specimens.photograph("retina")  # 1411 pixels
    copies = [pixels, *(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA) for side in (1024, 800, 600))]
    sharpness = [signals.laplacian_variance(signals.grey(signals.smaller(each, side=512))) for each in copies]
    assert max(sharpness) < 1.5 * min(sharpness)


@given(width=st.integers(1, 3000), height=st.integers(1, 40), side=st.integers(1, 600))
def test_a_smaller_picture_fits_the_side_and_is_never_enlarged(width, height, side):
    shape = signals.smaller(np.zeros((height, width, 3), dtype=np.uint8), side=side).shape
    assert max(shape[:2]) == min(max(height, width), side)
    assert min(shape) >= 1
