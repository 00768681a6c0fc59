"""The test and its adjustment, against simulation and against worked examples."""

from itertools import permutations

import numpy as np
import pytest

from stages.feedback.significance import contrasts, p_values, q_values, residuals

SLICES = 8


def simulated(rng, *, groups=24, per_group=3, effect=0.0):
    """Pictures of groups that share half of their variance, in slices of a sixth of the groups; one slice is behind."""
    numbers = np.repeat(np.arange(groups), per_group)
    values = np.sqrt(0.5) * (rng.standard_normal(groups)[numbers] + rng.standard_normal(len(numbers)))
    chosen = np.stack([rng.permutation(groups) < groups // 4 for _ in range(SLICES)], axis=1)
    members = chosen[numbers]
    return values + effect * members[:, 0], numbers, members


def run(values, groups, members, resamples=199, seed=0):
    against_the_rest = contrasts(members, np.zeros(len(values)))
    return p_values(values, list(groups), against_the_rest, resamples=resamples, seed=seed)


def test_p_is_the_share_of_all_permutations_of_pictures_that_stand_alone():
    values = np.array([3.0, 1.0, 2.5, 0.0, 0.5])
    inside = np.array([True, False, True, False, False])
    sums = [values[list(order)][inside].sum() for order in permutations(range(5))]
    exact = np.mean([each >= values[inside].sum() - 1e-9 for each in sums])
    (p,) = run(values, range(5), inside[:, None], resamples=4000)
    assert p == pytest.approx(exact, abs=0.02)


def test_p_counts_groups_and_not_pictures():
    values, groups = np.repeat([1.0, 0.0, 0.0, 0.0], 50), np.repeat(range(4), 50)
    (p,) = run(values, groups, (groups == 0)[:, None], resamples=999)
    assert p == pytest.approx(1 / 4, abs=0.05)


def test_a_slice_that_cuts_through_groups_is_compared_within_them():
    levels = np.repeat([0.0, 100.0, -50.0, 7.0, 30.0, 9.0, -3.0, 55.0], 2)
    inside = np.tile([True, False], 8)
    (p,) = run(levels + inside, np.repeat(range(8), 2), inside[:, None], resamples=2000)
    assert p == pytest.approx(1 / 2**8, abs=0.004)


def test_the_order_of_pictures_and_names_of_groups_do_not_decide():
    values, groups, members = simulated(np.random.default_rng(1), effect=1.0)
    order = np.random.default_rng(2).permutation(len(values))
    one = run(values, groups, members, resamples=2000)
    other = run(values[order], [f"g{each:02d}" for each in groups[order]], members[order], resamples=2000)
    assert one == pytest.approx(other, abs=0.05)
    assert (run(values, groups, members) == run(values, groups, members)).all()


def test_where_nothing_is_behind_few_runs_flag_anything():
    rng = np.random.default_rng(0)
    alarms = [q_values(run(*simulated(rng))).min() <= 0.1 for _ in range(120)]
    assert np.mean(alarms) <= 0.19  # 0.1, and three standard errors


def test_a_slice_a_standard_deviation_behind_is_mostly_found():
    rng = np.random.default_rng(0)
    found = [q_values(run(*simulated(rng, groups=40, effect=1.0)))[0] <= 0.1 for _ in range(60)]
    assert np.mean(found) >= 0.6


def test_values_that_are_all_the_same_are_no_sign_of_anything():
    values, groups, members = simulated(np.random.default_rng(0))
    assert (run(np.ones_like(values), groups, members) == 1).all()


def test_a_contrast_beside_nothing_is_the_difference_of_means():
    values, _, members = simulated(np.random.default_rng(3))
    plain = [values[inside].mean() - values[~inside].mean() for inside in members.T]
    assert values @ contrasts(members, np.full(len(values), 7.0)) == pytest.approx(plain)


def test_a_contrast_beside_a_line_is_the_coefficient_of_least_squares():
    rng = np.random.default_rng(4)
    values, _, members = simulated(rng)
    known = values + rng.standard_normal(len(values)) + members[:, 1]
    for inside, found in zip(members.T, residuals(values, known) @ contrasts(members, known), strict=True):
        columns = np.stack([np.ones_like(known), known, inside], axis=1)
        assert found == pytest.approx(np.linalg.lstsq(columns, values)[0][2])


def test_a_slice_that_the_line_tells_from_the_rest_has_no_contrast():
    inside = np.arange(6) < 3
    assert (contrasts(inside[:, None], inside.astype(float)) == 0).all()


def test_residuals_of_a_line_are_nothing_and_of_a_constant_what_the_mean_leaves():
    values = np.array([1.0, 2.0, 6.0])
    assert residuals(3 - 2 * values, values) == pytest.approx([0, 0, 0])
    assert residuals(values, np.ones(3)) == pytest.approx([-2, -1, 3])


def test_q_is_that_of_the_worked_example():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert q_values(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert q_values(np.array([0.9, 1.0, 0.2])) == pytest.approx([1.0, 1.0, 0.6])
    assert q_values(np.array([0.03])) == pytest.approx([0.03])


def test_q_flags_what_the_step_up_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(12) ** 3
        passed = np.flatnonzero(np.sort(p) <= 0.1 * np.arange(1, 13) / 12)
        rejected = p <= np.sort(p)[passed.max()] if len(passed) else np.zeros(12, dtype=bool)
        assert ((q_values(p) <= 0.1) == rejected).all()
