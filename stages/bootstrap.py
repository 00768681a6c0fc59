"""95 % intervals by the bootstrap, over groups of pictures that belong together."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Picks = NDArray[np.int64]  # indices of pictures, some of them several times
TAIL = 0.025  # of the truth that may lie on either side


def interval(
    statistic: Callable[[Picks], float], groups: Sequence[Hashable], *, resamples: int, seed: int
) -> tuple[float, float]:
    """The expanded percentile interval of ``statistic`` when whole groups are drawn again with replacement.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Pictures of one group (of one page, say)
    are alike, so to draw single pictures would give intervals that are far too short. The percentiles lie farther out
    than at 2.5 and 97.5, the fewer groups the farther: see ``tail``.
    """
    members = [np.flatnonzero(np.array([group == each for group in groups])) for each in sorted(set(groups), key=str)]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(members), len(members))
        values.append(statistic(np.concatenate([members[each] for each in drawn])))
    outside = 100 * tail(len(members))
    low, high = np.percentile(values, (outside, 100 - outside))
    return float(low), float(high)


def tail(groups: int) -> float:
    """The share of resamples beyond either end: Phi(-sqrt(n / (n - 1)) t), t being Student's 97.5 % with n - 1 degrees.

    Resampling n groups gives a spread that is too small by sqrt((n - 1) / n), and the normal law in place of Student's.
    Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015, section 5.3.
    """
    if groups < 2:
        return TAIL
    return float(ndtr(np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, TAIL)))
