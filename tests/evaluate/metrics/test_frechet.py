from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import plugins
from stages.evaluate.metrics.frechet import distance, resampled
from stages.evaluate.scores import Question, Resampling


def with_covariance(rng, mean, root, count):
    """``count`` points whose mean and covariance are exactly ``mean`` and ``root @ root.T``."""
    points = rng.standard_normal((count, len(mean)))
    points -= points.mean(0)
    points = points @ np.linalg.inv(np.linalg.cholesky(points.T @ points / (count - 1))).T
    return points @ root.T + mean


def two(seed, *, count=12, width=5, other=9):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)), rng.standard_normal((other, width)) * 2 + 1


def rotation(seed, width=5):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


def test_gaussians_whose_covariances_commute_have_a_closed_form():
    """|m1 - m2|^2 + sum (sqrt l1 - sqrt l2)^2 in the shared basis, also when ill-conditioned."""
    rng = np.random.default_rng(0)
    basis = rotation(1, 6)
    deviations = np.array([1e-3, 0.1, 1, 2, 5, 1e3]), np.array([2.0, 0.3, 1, 4, 1e-3, 2e3])
    means = rng.standard_normal(6), rng.standard_normal(6)
    sets = [
        with_covariance(rng, mean, basis * deviation, 40) for mean, deviation in zip(means, deviations, strict=True)
    ]
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert distance(*sets) == pytest.approx(expected, rel=1e-9)


def test_in_one_dimension_it_is_the_difference_of_means_and_deviations():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((20, 1)) * 3 + 1, rng.standard_normal((30, 1)) - 4
    expected = (one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2
    assert distance(one, other) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "width"), [(64, 512), (2, 54), (300, 54), (54, 54)])
def test_a_set_has_no_distance_to_itself_whatever_its_size(count, width):
    features = np.random.default_rng(0).standard_normal((count, width))
    assert distance(features, features) <= 1e-12 * features.var(0, ddof=1).sum()


def test_the_general_case_equals_the_square_root_of_the_product():
    one, other = two(0, count=50, other=60)
    covariances = np.cov(one.T), np.cov(other.T)
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + sum(np.trace(each) for each in covariances)
    assert distance(one, other) == pytest.approx(expected - 2 * np.sqrt(eigenvalues.real.clip(0)).sum(), rel=1e-9)


def test_a_shift_adds_its_square():
    one, _ = two(0)
    assert distance(one, one + 3) == pytest.approx(5 * 9)


seeds = st.integers(0, 10_000)


@given(seeds, st.integers(2, 9), st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_it_is_symmetric_and_never_negative(seed, count, other):
    sets = two(seed, count=count, other=other)
    assert distance(*sets) == pytest.approx(distance(*sets[::-1]), rel=1e-9)
    assert distance(*sets) >= 0


@given(seeds, seeds)
@settings(max_examples=40, deadline=None)
def test_rotating_and_moving_both_changes_nothing(seed, turned):
    one, other = two(seed)
    turn = rotation(turned)
    assert distance(one @ turn + 7, other @ turn + 7) == pytest.approx(distance(one, other), rel=1e-9)


@given(seeds, st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_scaling_both_scales_it_by_the_square(seed, scale):
    one, other = two(seed)
    assert distance(scale * one, scale * other) == pytest.approx(scale**2 * distance(one, other), rel=1e-9)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_the_order_of_pictures_does_not_matter(seed):
    one, other = two(seed)
    assert distance(one[::-1], np.roll(other, 3, axis=0)) == pytest.approx(distance(one, other), rel=1e-9)


@pytest.mark.parametrize("reals", [5, 30, 90], ids=["few", "as many", "more than features"])
@pytest.mark.parametrize("width", [12, 64], ids=["few features", "many features"])
def test_the_distance_of_what_is_picked_is_that_of_those_pictures(width, reals):
    rng = np.random.default_rng(0)
    drawn, real = 3 + rng.standard_normal((30, width)) * 2, rng.standard_normal((reals, width)) - 1
    squared = resampled(drawn, real)
    for picks in (np.arange(30), rng.integers(0, 30, 30), rng.integers(0, 4, 30), np.zeros(30, dtype=np.int64)):
        assert squared(picks) == pytest.approx(distance(drawn[picks], real), rel=1e-6)


def test_what_is_picked_of_the_real_pictures_themselves_is_near_them():
    real = np.random.default_rng(0).standard_normal((30, 64))
    assert resampled(real, real)(np.arange(30)) == pytest.approx(0, abs=1e-6 * 2 * 64)


def test_only_inceptions_distance_is_called_fid():
    def question(metric, arm, better, *, by, margin=None):
        return Question(metric=metric, arm=arm, better=better, margin=margin, definition=str(by))

    rows = [
        SimpleNamespace(prompt=str(number), seed=0, group=str(number), id=number, digest="", text="")
        for number in range(6)
    ]
    evidence = SimpleNamespace(
        embedders=["inception", "filters"],
        comparable=lambda role: True,
        base="base",
        adapters=["adapter"],
        how=Resampling(resamples=5, seed=0),
        pictures=SimpleNamespace(by_arm=lambda arm, role: rows, plain=lambda role, split: rows),
        by=lambda name: {"embedder": name},
        question=question,
        real=lambda name, role, split: two(len(split), count=6)[0],
        drawn=lambda name, arm, role: two(len(arm), count=6)[0],
    )
    metric = plugins.build("stages.evaluate.metrics", {"name": "frechet", "margin": 0.1})
    found = {score.id for score in metric(evidence)}
    assert found == {
        *("fid", "fid_null", "fid_prior", "fid_prior_null"),
        *("fd_filters", "fd_filters_null", "fd_prior_filters", "fd_prior_filters_null"),
    }
