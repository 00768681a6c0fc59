"""How often feedback flags slices that are not behind, and finds those that are.

    python benchmarks/feedback.py [RUNS]

Groups share half of their pictures' variance; twelve slices lie over whole groups or cut through them; one of them is
behind by 0, 0.5, 0.8 or 1 standard deviation of single pictures.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

from stages.feedback.significance import p_values, q_values

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
        flagged = q_values(p_values(values, numbers, members, resamples=PERMUTATIONS, seed=0)) <= Q
        found.append(flagged[0])
        alarms.append(flagged.any() if effect == 0 else flagged[1:].sum() / max(1, flagged.sum()))
    return float(np.mean(alarms)), float(np.mean(found))


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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
