import numpy as np
import pytest

from stages.bootstrap import interval, tail


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


@pytest.mark.parametrize(("groups", "share"), [(2, 0.0), (7, 0.0041), (10, 0.0086), (25, 0.0176), (2000, 0.02497)])
def test_fewer_groups_have_their_percentiles_farther_out(groups, share):
    assert tail(groups) == pytest.approx(share, abs=1e-4)


def test_few_groups_hold_the_truth_as_often_as_many():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(250):
        low, high = mean_interval(rng.standard_normal(10), range(10), resamples=200, seed=seed)
        hits += low <= 0 <= high
    assert 0.91 <= hits / 250 <= 0.99


def test_groups_are_drawn_whole():
    groups = ["a", "a", "b", "c", "c", "c"]
    seen = []
    interval(lambda picks: float(seen.append(picks) or 0), groups, resamples=50, seed=0)
    assert len(seen) == 50
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


def test_one_group_alone_has_no_width():
    low, high = mean_interval(np.array([1.0, 2.0, 6.0]), ["a"] * 3)
    assert low == high == 3.0


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).standard_normal(20)
    assert mean_interval(values, range(20)) == mean_interval(values, range(20))
    assert mean_interval(values, range(20)) != mean_interval(values, range(20), seed=1)


def test_the_names_of_groups_do_not_matter_when_their_order_stays():
    values = np.random.default_rng(0).standard_normal(4)
    assert mean_interval(values, ["a", "b", "c", "d"]) == mean_interval(
        values, [("p", 1), ("p", 2), ("q", 1), ("q", 2)]
    )
