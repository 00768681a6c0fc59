import numpy as np
import pytest

from stages.evaluate.metrics.diversity import vendi


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_pictures_count_as_one(count):
    assert vendi(np.tile([[1.0, 2.0, 3.0]], (count, 1))) == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_pictures_with_nothing_in_common_count_each(count):
    assert vendi(np.eye(9)[:count] * 5) == pytest.approx(count)


def test_two_kinds_count_as_two():
    assert vendi(np.repeat(np.eye(4)[:2], 5, axis=0)) == pytest.approx(2)


def test_brightness_does_not_count():
    rows = np.random.default_rng(0).standard_normal((6, 8))
    assert vendi(rows * np.arange(1, 7)[:, None]) == pytest.approx(vendi(rows))
