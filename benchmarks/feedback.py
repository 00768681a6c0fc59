"""How often feedback flags slices that are not behind, and finds those that are.

    python benchmarks/feedback.py [RUNS]

Groups share half of their pictures' variance; twelve slices lie over whole groups or cut through them; one of them is
behind by 0, 0.5, 0.8 or 1 standard deviation of single pictures. Then, over pictures that stand alone, a slice for which
the base began at another place, by each way to count the base's loss, and by both, as feedback does.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from stages.feedback.shortfall import Losses, shortfalls
from stages.feedback.significance import contrasts, p_values, q_values, residuals

SLICES = 12
Q = 0.1
PERMUTATIONS = 1999  # the smallest p, times twelve, is well below q


def world(
    rng: np.random.Generator, *, groups: int, per_group: int, effect: float, cut: bool
) -> tuple[NDArray[np.float64], list[int], NDArray[np.bool_]]:
    """Values, groups and slices of a quarter of the groups, or of a quarter of the pictures where they ``cut``."""
    numbers = np.repeat(np.arange(groups), per_group)
    values = np.sqrt(0.5) * (rng.standard_normal(groups)[numbers] + rng.standard_normal(len(numbers)))
    units = len(numbers) if cut else groups
    chosen = np.stack([rng.permutation(units) < units // 4 for _ in range(SLICES)], axis=1)
    members = chosen if cut else chosen[numbers]
    return values + effect * members[:, 0], numbers.tolist(), members


def shares(runs: int, *, groups: int, per_group: int, effect: float, cut: bool) -> tuple[float, float]:
    """How often any slice that is not behind is flagged, and the one that is."""
    rng = np.random.default_rng(0)
    alarms, found = [], []
    for _ in range(runs):
        values, numbers, members = world(rng, groups=groups, per_group=per_group, effect=effect, cut=cut)
        against_the_rest = contrasts(members, np.zeros(len(values)))
        flagged = q_values(p_values(values, numbers, against_the_rest, resamples=PERMUTATIONS, seed=0)) <= Q
        found.append(flagged[0])
        alarms.append(flagged.any() if effect == 0 else flagged[1:].sum() / max(1, flagged.sum()))
    return float(np.mean(alarms)), float(np.mean(found))


def uneven(
    rng: np.random.Generator, *, slope: float, shift: float, harder: float, short: float
) -> tuple[Losses, NDArray[np.bool_]]:
    """Losses of 60 pictures and slices of a quarter of them; the first is another one for the base, and falls short.

    ``slope`` is by how much the adapter's log loss rises with the base's, ``shift`` by how much the base's is higher in the
    first slice, ``harder`` by how much both are, ``short`` by how much the adapter's alone is.
    """
    members = np.stack([rng.permutation(60) < 15 for _ in range(SLICES)], axis=1)
    hard = 0.3 * rng.standard_normal(60)
    adapter = slope * hard + 0.2 * rng.standard_normal(60) + (harder + short) * members[:, 0]
    return Losses(hard + (shift + harder) * members[:, 0], adapter), members


def found_uneven(runs: int, **world_of: float) -> tuple[float, float, float]:
    """How often the first slice is flagged: by the ratio, beside a line over the base's loss, and by both."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(runs):
        losses, members = uneven(rng, **world_of)
        alone = list(range(len(members)))
        ratio = (losses.learned, contrasts(members, np.zeros(len(members))))
        line = (residuals(losses.adapter_N, losses.base_N), contrasts(members, losses.base_N))
        p_of = [p_values(values, alone, each, resamples=PERMUTATIONS, seed=0) for values, each in (ratio, line)]
        p_of.append(shortfalls(losses, alone, members, resamples=PERMUTATIONS, seed=0)[1])
        hits.append([q_values(p)[0] <= Q for p in p_of])
    by_ratio, by_line, by_both = np.mean(hits, axis=0)
    return float(by_ratio), float(by_line), float(by_both)


UNEVEN = {
    "nothing": {"slope": 0.5, "shift": 0.0, "harder": 0.0, "short": 0.0},
    "the base knew it better": {"slope": 0.0, "shift": -0.6, "harder": 0.0, "short": 0.0},
    "hard for both": {"slope": 0.6, "shift": 0.0, "harder": 0.6, "short": 0.0},
    "short by 0.2": {"slope": 0.5, "shift": 0.0, "harder": 0.0, "short": 0.2},
    "short by 0.4": {"slope": 0.5, "shift": 0.0, "harder": 0.0, "short": 0.4},
}


def main(runs: int) -> None:
    """Print a line for each kind of world."""
    print(
        f"{runs} runs each, {SLICES} slices, q {Q}; alarms: runs with any (effect 0), or the mean share of what is flagged"
    )
    for groups, per_group in ((20, 4), (80, 1), (40, 4)):
        for cut in (False, True)[: 1 + (per_group > 1)]:
            for effect in (0.0, 0.5, 0.8, 1.0):
                begun = time.monotonic()
                alarms, found = shares(runs, groups=groups, per_group=per_group, effect=effect, cut=cut)
                kind = "cut groups" if cut else "whole groups"
                print(
                    f"{groups:3} groups of {per_group}, {kind:12} effect {effect:.1f}: alarms {alarms:.3f}, "
                    f"found {found:.2f}  ({time.monotonic() - begun:.0f} s)"
                )
    for name, world_of in UNEVEN.items():
        by_ratio, by_line, by_both = found_uneven(runs, **world_of)
        print(f"{name:24} flagged by the ratio {by_ratio:.2f}, beside the base {by_line:.2f}, by both {by_both:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
