"""How far a slice is behind, over pictures whose base loss says much or nothing of how hard they are."""

import numpy as np
import pytest

from stages.feedback.shortfall import Losses, shortfalls
from stages.feedback.significance import q_values

SLICES = 6


def world(rng, *, slope, shift=0.0, harder=0.0, short=0.0, pictures=60):
    """Pictures that stand alone, in slices of a quarter; the first is at another place for the base, and falls short.

    ``slope`` is by how much the adapter's log loss rises with the base's, ``shift`` by how much the base's is higher in the
    first slice, ``harder`` by how much both are, ``short`` by how much the adapter's alone is.
    """
    members = np.stack([rng.permutation(pictures) < pictures // 4 for _ in range(SLICES)], axis=1)
    hard = 0.3 * rng.standard_normal(pictures)
    base = -1 + hard + (shift + harder) * members[:, 0]
    adapter = -2 + slope * hard + 0.2 * rng.standard_normal(pictures) + (harder + short) * members[:, 0]
    return Losses(base, adapter), list(range(pictures)), members


def run(losses, groups, members, resamples=199):
    return shortfalls(losses, groups, members, resamples=resamples, seed=0)


def flagged_runs(runs=80, **how):
    """How often the first slice is flagged, and how often another."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(runs):
        effects, p = run(*world(rng, **how))
        hits.append((q_values(p) <= 0.1) & (effects > 0))
    return np.mean([hit[0] for hit in hits]), np.mean([hit[1:].any() for hit in hits])


@pytest.mark.parametrize(
    "how",
    [
        {"slope": 1.0},
        {"slope": 0.0},
        {"slope": 0.0, "shift": -0.6},  # the base knew it better, so there was less to gain
        {"slope": 0.0, "shift": 0.6},
        {"slope": 0.6, "harder": 0.6},  # hard for both, where the base's loss is noise in part
        {"slope": 1.0, "harder": -0.6},
    ],
)
def test_what_began_at_another_place_and_was_taught_alike_is_seldom_flagged(how):
    assert max(flagged_runs(**how)) <= 0.19  # 0.1, and near three standard errors of 80 runs


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_what_falls_short_by_more_than_a_standard_deviation_is_mostly_found(slope):
    found, others = flagged_runs(40, slope=slope, short=0.4)
    assert found >= 0.6
    assert others <= 0.25


def test_effects_are_in_standard_deviations_of_single_pictures():
    losses, groups, members = world(np.random.default_rng(1), slope=1.0, short=0.4, pictures=4000)
    effects, p = run(losses, groups, members, resamples=19)
    assert effects[0] == pytest.approx(0.4 / np.sqrt(0.2**2 + 0.25 * 0.75 * 0.4**2), abs=0.1)
    assert np.abs(effects[1:]).max() < 0.2
    assert p[0] == 1 / 20


def test_the_smaller_effect_and_the_larger_p_count():
    began_lower = world(np.random.default_rng(2), slope=0.0, shift=-1.0, pictures=400)
    effects, p = run(*began_lower)
    assert began_lower[0].learned[began_lower[2][:, 0]].mean() > -0.2  # by the ratio alone it is far behind
    assert effects[0] < 0.3
    assert p[0] > 0.02


def test_losses_that_are_all_the_same_are_no_sign_of_anything():
    _, groups, members = world(np.random.default_rng(0), slope=1.0)
    same = np.zeros(len(groups))
    effects, p = run(Losses(same, same - 1), groups, members)
    assert effects == pytest.approx(np.zeros(SLICES), abs=1e-3)
    assert (p == 1).all()
