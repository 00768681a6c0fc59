"""Whether a slice learned less than the rest, in a way that chance seldom brings."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
ROUNDING = 1e-12  # what sums in another order may differ by; equal ones count as reached


def residuals(values_N: Values, known_N: Values) -> Values:
    """What a straight line over ``known_N`` leaves of each value, float64[N]; where those are all equal, what the mean leaves."""
    rest_N, steps_N = values_N - values_N.mean(), known_N - known_N.mean()
    spread = steps_N @ steps_N
    slope = steps_N @ rest_N / spread if spread > ROUNDING else 0.0
    left_N: Values = rest_N - slope * steps_N
    return left_N


def contrasts(members_NM: NDArray[np.bool_], known_N: Values) -> Values:
    """For each slice the weights whose sum over values is how far it is above the rest at equal ``known_N``, float64[N, M].

    That is the coefficient of the slice beside a line over ``known_N`` (Frisch and Waugh, "Partial Time Regressions", 1933);
    where those are all equal, the difference of means. All 0 for a slice that the line tells from the rest.
    """
    left_NM = np.stack([residuals(inside_N, known_N) for inside_N in members_NM.T.astype(np.float64)], axis=1)
    power_M = np.square(left_NM).sum(axis=0)
    weights_NM: Values = left_NM * np.divide(1.0, power_M, out=np.zeros_like(power_M), where=power_M > ROUNDING)
    return weights_NM


def p_values(
    values_N: Values, groups: Sequence[Hashable], contrasts_NM: Values, *, resamples: int, seed: int
) -> Values:
    """For each slice the probability that chance alone puts its contrast so high, float64[M], one-sided.

    By permutation: groups exchange their levels, and pictures exchange their places within their group. Where a group
    lies wholly in a slice or outside it, that permutes groups; where a slice cuts through groups, it compares within
    them. Exchangeability blocks: Winkler et al., "Multi-level block permutation", NeuroImage 123, 2015; here blocks of
    other sizes exchange their means, which is exact for blocks of one size. Where the contrasts are those beside a line,
    ``values_N`` are its residuals: Freedman and Lane, "A Nonstochastic Interpretation of Reported Significance Levels",
    1983. No p is 0: (1 + reached) / (1 + permutations) of Phipson and Smyth, "Permutation P-values should never be zero",
    2010.
    """
    number = {group: place for place, group in enumerate(sorted(set(groups), key=str))}
    group_N = np.array([number[group] for group in groups], dtype=np.int64)
    contrast_GM = np.zeros((len(number), contrasts_NM.shape[1]))
    np.add.at(contrast_GM, group_N, contrasts_NM)
    level_G = np.bincount(group_N, weights=values_N) / np.bincount(group_N)
    within_N = values_N - level_G[group_N]
    observed_M = values_N @ contrasts_NM - ROUNDING
    rng = np.random.default_rng(seed)
    by_group = np.argsort(group_N, kind="stable")
    reached_M, shuffled_N = np.zeros(contrasts_NM.shape[1]), np.empty_like(within_N)
    for _ in range(resamples):
        shuffled_N[by_group] = within_N[np.lexsort((rng.random(len(group_N)), group_N))]
        reached_M += rng.permutation(level_G) @ contrast_GM + shuffled_N @ contrasts_NM >= observed_M
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
