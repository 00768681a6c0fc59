"""From pictures and losses to scores: an arm against the base, each with its interval and a verdict.

A verdict comes from the interval and never from the point: ``better`` and ``worse`` where it excludes 0; for what must
not be lost, ``kept`` where all of it stays within a margin of the base's own value, ``lost`` where none of it does.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.bootstrap import Picks, interval
from stages.records import ADAPTER, BASE, Arm, Generation, Sample, Score

Values = NDArray[np.float64]  # float64[N], a number for each picture
Statistic = Callable[[Picks], float]  # of the pictures that it is given
Better = Literal["lower", "higher", "neither"]
Verdict = Literal["better", "worse", "no evidence", "kept", "lost", ""]
Unit = Literal["prompt", "picture", "group"]

FEW_PROMPTS = 10  # the least from which to speak of others; shared protocols have 25
FEW_CLUSTERS = 5  # the least from which an interval does not rest on how others are thought to vary


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which pictures are drawn together: those that have something in common are no separate evidence."""

    of: Sequence[Hashable]  # for each picture the cluster that it is in
    unit: Unit

    @property
    def count(self) -> int:
        """How many there are."""
        return len(set(self.of))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a score answers."""

    metric: str
    arm: Arm
    better: Better
    margin: float | None  # share of the base's value that may be lost; None asks whether it got better
    definition: str  # see ``Score``

    @property
    def id(self) -> str:
        """The name of the score."""
        return self.metric if self.arm in {BASE, ADAPTER} else f"{self.metric}@{self.arm}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made."""

    resamples: int
    seed: int


def by_prompt(generations: Sequence[Generation]) -> Clusters:
    """The pictures of one prompt together: the question is how the model does on prompts, of which these are some.

    With fewer than ``FEW_PROMPTS`` each picture stands for itself, and the score says so by its unit: then nothing is
    said of other prompts.
    """
    prompts = [each.prompt for each in generations]
    if len(set(prompts)) >= FEW_PROMPTS:
        return Clusters(prompts, "prompt")
    return by_picture(generations)


def by_picture(generations: Sequence[Generation]) -> Clusters:
    """Each picture for itself: the question is how the model does on these prompts and on no others."""
    return Clusters([(each.prompt, each.seed) for each in generations], "picture")


def by_group(samples: Sequence[Sample]) -> Clusters:
    """Near-duplicates and pictures of one page together."""
    return Clusters([sample.group for sample in samples], "group")


def one_arm(question: Question, values: Values, clusters: Clusters, how: Resampling) -> Score:
    """The mean of ``values`` with its interval, where there is nothing to compare with."""
    statistic = _mean(values)
    low, high = interval(statistic, clusters.of, resamples=how.resamples, seed=how.seed)
    numbers = {"base": statistic(_all(clusters)), "adapter": None, "delta": None, "low": low, "high": high}
    return _score(question, clusters, numbers, verdict="")


def landmark(question: Question, value: float, clusters: Clusters) -> Score:
    """A number that others are read beside; it has no interval."""
    numbers = {"base": value, "adapter": None, "delta": None, "low": None, "high": None}
    return _score(question, clusters, numbers, verdict="")


def paired(question: Question, arms: tuple[Values, Values], clusters: Clusters, how: Resampling) -> Score:
    """The mean difference of pairs: ``arms`` are the values of base and arm, of the same pictures in the same order."""
    base, adapter = arms
    return compared(question, (_mean(base), _mean(adapter)), clusters, how)


def compared(question: Question, arms: tuple[Statistic, Statistic], clusters: Clusters, how: Resampling) -> Score:
    """The difference of a statistic between base and arm, the same pictures drawn in both."""
    base, adapter = arms

    def difference(picks: Picks) -> float:
        return adapter(picks) - base(picks)

    before, after = base(_all(clusters)), adapter(_all(clusters))
    low, high = interval(difference, clusters.of, resamples=how.resamples, seed=how.seed)
    numbers = {"base": before, "adapter": after, "delta": after - before, "low": low, "high": high}
    if question.margin is None:
        return _score(question, clusters, numbers, verdict=_change(low, high, question.better))
    allowed = question.margin * abs(before)
    return _score(question, clusters, numbers, verdict=_kept(low, high, question.better, allowed))


def remark(score: Score) -> str:
    """What a reader must know beside the interval; nothing where there is nothing."""
    if score.unit == "picture":
        return "of these prompts alone: too few to speak of others"
    if score.clusters == 1:
        return f"of one {score.unit} alone, which says nothing of others"
    few = score.clusters < FEW_CLUSTERS and score.low is not None
    return f"only {score.clusters} {score.unit}s: true if others vary by the normal law" if few else ""


def _score(question: Question, clusters: Clusters, numbers: Mapping[str, float | None], *, verdict: Verdict) -> Score:
    known = {name: number if number is not None and isfinite(number) else None for name, number in numbers.items()}
    return Score(
        id=question.id,
        metric=question.metric,
        arm=question.arm,
        count=len(clusters.of),
        clusters=clusters.count,
        unit=clusters.unit,
        definition=question.definition,
        better=question.better,
        verdict=verdict,
        **known,
    )


def _all(clusters: Clusters) -> Picks:
    return np.arange(len(clusters.of))


def _mean(values: Values) -> Statistic:
    return lambda picks: float(values[picks].mean())


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
