import numpy as np
import pytest
from scipy.stats import t

from stages.bootstrap import interval


def mean_interval(values, groups, *, resamples=300, seed=0):
    return interval(lambda picks: float(values[picks].mean()), groups, resamples=resamples, seed=seed)


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).standard_normal(200)
    low, high = mean_interval(values, range(200), resamples=4000)
    error = values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_most_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = rng.standard_normal(30) + 1
        low, high = mean_interval(values, range(30), resamples=200, seed=seed)
        hits += low <= 1 <= high
    assert 0.87 <= hits / 200 <= 0.99


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_few_groups_hold_the_truth_as_often_as_many(count):
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(250):
        low, high = mean_interval(rng.standard_normal(count), range(count), resamples=200, seed=seed)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 250 <= 0.98


def test_the_interval_is_students_where_all_resamples_of_a_mean_are_known():
    """Of n values resampling has a standard error of the standard deviation over root n, and Student's is root n / (n - 1) wider."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = mean_interval(values, range(4), resamples=20_000)
    half = t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert (low, high) == (pytest.approx(4.0 - half, rel=0.02), pytest.approx(4.0 + half, rel=0.02))


def test_what_resampling_moves_to_one_side_has_a_wider_interval_that_holds_the_value():
    """The range of the values is smaller in nearly every resample: percentiles would lie below it."""
    values = np.random.default_rng(0).standard_normal(6)
    spread = float(values.max() - values.min())

    def width(picks):
        return float(values[picks].max() - values[picks].min())

    low, high = interval(width, range(6), resamples=400, seed=0)
    assert (low + high) / 2 == pytest.approx(spread)
    draws = np.random.default_rng(1).integers(0, 6, (4000, 6))
    bias = float(np.mean([width(picks) for picks in draws])) - spread
    assert high - spread > 2 * abs(bias)


def test_resamples_of_which_nothing_is_known_do_not_count():
    def of_several(picks):
        return float(picks.mean()) if len(set(picks)) > 1 else float("nan")

    low, high = interval(of_several, range(3), resamples=200, seed=0)
    assert np.isfinite([low, high]).all()
    assert interval(lambda _: float("nan"), range(3), resamples=20, seed=0) == (-np.inf, np.inf)


def test_groups_are_drawn_whole():
    groups = ["a", "a", "b", "c", "c", "c"]
    seen = []
    interval(lambda picks: float(seen.append(picks) or 0), groups, resamples=50, seed=0)
    assert len(seen) == 51  # and all of them as they are
    for picks in seen:
        counts = np.bincount(picks, minlength=6)
        assert counts[0] == counts[1]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[2] + counts[3] == 3
    assert len({tuple(picks) for picks in seen}) > 5


def test_groups_that_agree_within_give_wider_intervals_than_pictures_would():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.standard_normal(10), 8)
    low, high = mean_interval(values, np.repeat(range(10), 8).tolist())
    naive = mean_interval(values, range(80))
    assert high - low > 2 * (naive[1] - naive[0])


def test_one_group_alone_says_nothing_of_others():
    assert mean_interval(np.array([1.0, 2.0, 6.0]), ["a"] * 3) == (-np.inf, np.inf)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).standard_normal(20)
    assert mean_interval(values, range(20)) == mean_interval(values, range(20))
    assert mean_interval(values, range(20)) != mean_interval(values, range(20), seed=1)


def test_the_names_of_groups_do_not_matter_when_their_order_stays():
    values = np.random.default_rng(0).standard_normal(4)
    assert mean_interval(values, ["a", "b", "c", "d"]) == mean_interval(
        values, [("p", 1), ("p", 2), ("q", 1), ("q", 2)]
    )
