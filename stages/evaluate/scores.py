"""From pictures and losses to scores: adapter against base, each with its interval and a verdict.

A verdict comes from the interval and never from the point: ``better`` and ``worse`` where it excludes 0; for what must
not be lost, ``kept`` where all of it stays within a margin of the base's own value, ``lost`` where none of it does.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.bootstrap import Picks, interval
from stages.evaluate.frechet import Features, distance
from stages.records import Score

Values = NDArray[np.float64]  # float64[N], or float64[N, D] of features
Arms = tuple[Values, Values]  # by the base and by the adapter, pictures in the same order
Better = Literal["lower", "higher", "neither"]
Verdict = Literal["better", "worse", "no evidence", "kept", "lost", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made."""

    resamples: int
    seed: int


def one_arm(id: str, values: Values, groups: Sequence[Hashable], better: Better, how: Resampling) -> Score:
    """The mean of ``values`` with its interval, where there is nothing to compare with."""
    low, high = interval(lambda picks: float(values[picks].mean()), groups, resamples=how.resamples, seed=how.seed)
    return Score(
        id=id,
        base=float(values.mean()),
        adapter=None,
        delta=None,
        low=low,
        high=high,
        count=len(values),
        better=better,
        verdict="",
    )


def paired(
    id: str, arms: Arms, groups: Sequence[Hashable], better: Better, how: Resampling, *, margin: float | None = None
) -> Score:
    """The mean difference of pairs. With a ``margin`` (share of the base's mean) the question is whether it was kept."""
    return _compared(id, lambda values: float(values.mean()), arms, groups, better, how, margin)


def frechet(
    id: str, arms: Arms, real: Features, groups: Sequence[Hashable], how: Resampling, *, margin: float | None = None
) -> Score:
    """The Fréchet distance to ``real``, pictures of one seed drawn together in both arms.

    The reference stays as it is: the interval says how the distance varies with what is generated, not with what was
    held out. Distances of other numbers of pictures cannot be compared.
    """
    return _compared(id, lambda features: distance(features, real), arms, groups, "lower", how, margin)


def _compared(
    id: str,
    statistic: Callable[[Values], float],
    arms: Arms,
    groups: Sequence[Hashable],
    better: Better,
    how: Resampling,
    margin: float | None,
) -> Score:
    base, adapter = arms

    def difference(picks: Picks) -> float:
        return statistic(adapter[picks]) - statistic(base[picks])

    before, after = statistic(base), statistic(adapter)
    low, high = interval(difference, groups, resamples=how.resamples, seed=how.seed)
    verdict = _change(low, high, better) if margin is None else _kept(low, high, better, margin * abs(before))
    numbers = {"base": before, "adapter": after, "delta": after - before, "low": low, "high": high}
    return Score(id=id, **numbers, count=len(base), better=better, verdict=verdict)


def _change(low: float, high: float, better: Better) -> Verdict:
    if better == "neither" or low <= 0 <= high:
        return "no evidence"
    return "better" if (high < 0) == (better == "lower") else "worse"


def _kept(low: float, high: float, better: Better, allowed: float) -> Verdict:
    """Whether the loss, the worst end of the interval, stays within what is allowed."""
    least, most = (low, high) if better == "lower" else (-high, -low)
    if most <= allowed:
        return "kept"
    return "lost" if least > allowed else "no evidence"
