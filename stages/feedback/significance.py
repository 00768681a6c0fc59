"""Whether a slice learned less than the rest, in a way that chance seldom brings."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
ROUNDING = 1e-12  # what sums in another order may differ by; equal ones count as reached


def p_values(
    values_N: Values, groups: Sequence[Hashable], members_NM: NDArray[np.bool_], *, resamples: int, seed: int
) -> Values:
    """For each slice the probability that chance alone puts its mean so far above the rest's, float64[M], one-sided.

    By permutation: groups exchange their levels, and pictures exchange their places within their group. Where a group
    lies wholly in a slice or outside it, that permutes groups; where a slice cuts through groups, it compares within
    them. Exchangeability blocks: Winkler et al., "Multi-level block permutation", NeuroImage 123, 2015; here blocks of
    other sizes exchange their means, which is exact for blocks of one size. No p is 0: (1 + reached) / (1 + permutations)
    of Phipson and Smyth, "Permutation P-values should never be zero", 2010. Every slice and its rest have a picture.
    """
    number = {group: place for place, group in enumerate(sorted(set(groups), key=str))}
    group_N = np.array([number[group] for group in groups], dtype=np.int64)
    contrast_NM = members_NM / members_NM.sum(axis=0) - ~members_NM / (~members_NM).sum(axis=0)
    contrast_GM = np.zeros((len(number), members_NM.shape[1]))
    np.add.at(contrast_GM, group_N, contrast_NM)
    level_G = np.bincount(group_N, weights=values_N) / np.bincount(group_N)
    within_N = values_N - level_G[group_N]
    observed_M = values_N @ contrast_NM - ROUNDING
    rng = np.random.default_rng(seed)
    by_group = np.argsort(group_N, kind="stable")
    reached_M, shuffled_N = np.zeros(members_NM.shape[1]), np.empty_like(within_N)
    for _ in range(resamples):
        shuffled_N[by_group] = within_N[np.lexsort((rng.random(len(group_N)), group_N))]
        reached_M += rng.permutation(level_G) @ contrast_GM + shuffled_N @ contrast_NM >= observed_M
    return (1 + reached_M) / (1 + resamples)


def q_values(p_M: Values) -> Values:
    """Each p adjusted for how many were asked, float64[M]: those at or below q hold at most a share q of false alarms.

    Benjamini and Hochberg, "Controlling the False Discovery Rate", 1995, the step-up procedure.
    """
    order = np.argsort(p_M, kind="stable")[::-1]
    ranks = np.arange(len(p_M), 0, -1)
    adjusted = np.empty_like(p_M)
    adjusted[order] = np.minimum(np.minimum.accumulate(p_M[order] * len(p_M) / ranks), 1.0)
    return adjusted
