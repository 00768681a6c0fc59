import numpy as np
import pytest

from stages.evaluate import kernels

ALL = {"kid": kernels.polynomial, "cmmd": kernels.gaussian}


def drawn(seed, count, width=16, shift=0.0):
    return np.random.default_rng(seed).standard_normal((count, width)) + shift


def whole(kernel, one, other):
    return kernels.discrepancy(kernel, one, other)(np.arange(len(one)))


@pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)
def test_it_is_the_unbiased_statistic_of_all_pairs(kernel):
    """Gretton et al., equation 3, written out."""
    one, other = drawn(0, 5), drawn(1, 7)
    within = np.mean([kernel(one[[a]], one[[b]]) for a in range(5) for b in range(5) if a != b])
    among = np.mean([kernel(other[[a]], other[[b]]) for a in range(7) for b in range(7) if a != b])
    across = np.mean([kernel(one[[a]], other[[b]]) for a in range(5) for b in range(7)])
    assert whole(kernel, one, other) == pytest.approx(within + among - 2 * across, rel=1e-9)


@pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)
def test_equal_distributions_have_zero_on_average(kernel):
    values = [whole(kernel, drawn(seed, 20), drawn(1000 + seed, 30)) for seed in range(200)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0


@pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)
def test_different_distributions_have_more(kernel):
    assert whole(kernel, drawn(0, 40, shift=2.0), drawn(1, 40)) > 10 * abs(whole(kernel, drawn(2, 40), drawn(1, 40)))


@pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)
def test_pictures_that_are_drawn_again_do_not_make_it_larger(kernel):
    """With a duplicate's pair counted, the mean over resamples would be far above the value of the whole."""
    one, other = drawn(0, 30), drawn(1, 30)
    squared = kernels.discrepancy(kernel, one, other)
    rng = np.random.default_rng(2)
    values = [squared(rng.integers(0, 30, 30)) for _ in range(600)]
    error = np.std(values) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx(squared(np.arange(30)), abs=4 * error)


def test_one_picture_alone_has_no_pairs():
    assert np.isnan(kernels.discrepancy(kernels.polynomial, drawn(0, 3), drawn(1, 3))(np.array([1, 1, 1])))
