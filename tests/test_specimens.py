import numpy as np
import pytest

from stages import licences, specimens
from stages.specimens import DIGITS, PHOTOGRAPHS


def test_there_are_eleven_photographs_each_under_its_own_name():
    assert len(PHOTOGRAPHS) == 11
    assert all(each.name == name for name, each in PHOTOGRAPHS.items())
    assert len({each.words for each in PHOTOGRAPHS.values()}) == 11


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_comes_out_of_the_wheel_in_colour_without_a_network(name):
    pixels, (left, top, right, bottom) = specimens.photograph(name), PHOTOGRAPHS[name].known
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    assert pixels.std() > 5
    assert 0 <= left < right <= pixels.shape[1]
    assert 0 <= top < bottom <= pixels.shape[0]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_may_be_used_for_anything_and_says_why(name):
    each = PHOTOGRAPHS[name]
    assert licences.spdx(each.licence) in {"CC0-1.0", "CC-PDM-1.0"}
    assert licences.duties([licences.spdx(each.licence)]).names == frozenset()
    assert each.author
    assert ("CC0" in each.statement) == (each.licence == specimens.CC0)


def test_a_photograph_of_a_single_channel_is_grey_in_all_three():
    pixels = specimens.photograph("coins")
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_the_base_never_learns_the_astronauts_face():
    assert PHOTOGRAPHS["astronaut"].known[1] >= 250


def test_the_digits_are_the_wheels_enlarged_twice():
    from sklearn.datasets import load_digits

    pixels, labels = specimens.digits()
    greys, wanted = load_digits(return_X_y=True)
    assert len(pixels) == len(labels) == 1797
    assert {each.shape for each in pixels} == {(16, 16, 3)}
    assert {each.dtype for each in pixels} == {np.dtype(np.uint8)}
    assert np.array_equal(labels, wanted)
    assert len(DIGITS) == len(set(labels.tolist())) == 10
    for number in (0, 900, 1796):
        assert np.array_equal(pixels[number][::2, ::2, 0], np.rint(greys[number].reshape(8, 8) * 255 / 16))
        assert np.array_equal(pixels[number][1::2, 1::2, 2], pixels[number][::2, ::2, 0])
    assert max(each.max() for each in pixels) == 255


def test_every_third_of_each_digit_is_reserved():
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 0, 0, 1])
    assert specimens.reserved_digits(labels).tolist() == [False, False, True, *[False] * 3, True, False, True, False]
    _, labels = specimens.digits()
    held = specimens.reserved_digits(labels)
    assert all(held[labels == digit].sum() == (labels == digit).sum() // 3 for digit in range(10))


def test_a_digit_is_reserved_or_not_whatever_comes_after_it():
    _, labels = specimens.digits()
    assert np.array_equal(specimens.reserved_digits(labels)[:500], specimens.reserved_digits(labels[:500]))


def test_a_crop_takes_what_is_inside_the_box():
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    part = specimens.crop(pixels, (1, 2, 4, 4))
    assert np.array_equal(part, pixels[2:4, 1:4])
    assert part.flags.c_contiguous
