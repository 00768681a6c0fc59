"""95 % intervals by the bootstrap, over groups of pictures that belong together."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Picks = NDArray[np.int64]  # indices of pictures, some of them several times
TAILS = (2.5, 97.5)  # percent


def interval(
    statistic: Callable[[Picks], float], groups: Sequence[Hashable], *, resamples: int, seed: int
) -> tuple[float, float]:
    """The percentile interval of ``statistic`` when whole groups are drawn again with replacement.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. Pictures of one group (of one page, say)
    are alike, so to draw single pictures would give intervals that are far too short; with few groups also these are
    a little short.
    """
    members = [np.flatnonzero(np.array([group == each for group in groups])) for each in sorted(set(groups), key=str)]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(members), len(members))
        values.append(statistic(np.concatenate([members[each] for each in drawn])))
    low, high = np.percentile(values, TAILS)
    return float(low), float(high)
