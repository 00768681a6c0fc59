"""What a version must show to become champion: pure functions of scores and readings.

Each condition is met, open or failed. What fails one is no sound result and is not registered; what leaves one open is a
candidate; what meets all may become champion. Intervals decide, never the point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.bootstrap import interval
from stages.config import settings
from stages.records import Arm, PictureScore, Reading, Sample, Score

State = Literal["met", "open", "failed"]
ORDER: tuple[State, ...] = ("failed", "open", "met")
OF_VERDICT: dict[str, State] = {"better": "met", "kept": "met", "worse": "failed", "lost": "failed"}


@settings
class Gate:
    """The conditions."""

    metric: str  # better than the base's and than the champion's, by the interval
    kept: tuple[str, ...]  # scores of what must not be lost
    ceilings: dict[str, Annotated[float, Field(ge=0)]]  # of scores: more is too much
    in_house: bool  # whether a version that must not be published or sold may become champion
    resamples: Annotated[int, Field(gt=0)]  # of the bootstrap
    seed: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition, and how it stands."""

    state: State
    words: str
    final: bool = False  # whether no reason that a person gives overrules it


def findings(scores: Sequence[Score], arm: Arm, gate: Gate) -> list[Finding]:
    """How ``arm`` stands to the conditions that it can answer alone."""
    known = {score.metric: score for score in scores if score.arm == arm}
    asked = [_by_verdict(known, name) for name in (gate.metric, *gate.kept)]
    return asked + [_by_ceiling(known, name, most) for name, most in gate.ceilings.items()]


def against(new: Sequence[Reading], old: Sequence[Reading], score: Score | None, gate: Gate) -> Finding:
    """How the pictures of ``new`` stand to the same pictures of ``old``, the champion's: the interval of their difference.

    Near-duplicates are drawn together. ``score`` says which direction is the better one.
    """
    if fault := incomparable(new, old):
        return Finding("open", f"cannot be compared with the champion: {fault}")
    if any(each.metric != gate.metric for each in new):
        kept = ", ".join(sorted({each.metric for each in new}))
        return Finding(
            "open", f"cannot be compared with the champion: they keep {kept} of each picture, not {gate.metric}"
        )
    if score is None or score.better == "neither":
        return Finding("open", f"cannot be compared with the champion: {gate.metric} does not say what is better")
    delta, low, high = difference(new, old, gate)
    verdict = "no evidence" if low <= 0 <= high else "better" if (high < 0) == (score.better == "lower") else "worse"
    words = f"{gate.metric} {delta:+.4g} ({low:.4g} … {high:.4g}) against the champion: {verdict}"
    return Finding(OF_VERDICT.get(verdict, "open"), words)


def incomparable(new: Sequence[Reading], old: Sequence[Reading]) -> str:
    """Why ``new`` and ``old`` cannot be compared picture by picture; empty when they can."""
    if not new or not old:
        return f"{'the version' if not new else 'it'} has no values of single pictures"
    if {(each.metric, each.definition) for each in new} != {(each.metric, each.definition) for each in old}:
        return "their scores are defined differently: other pictures, another plan or another metric"
    if {each.id for each in new} != {each.id for each in old}:
        return "they were judged by other pictures"
    return ""


def difference(new: Sequence[Reading], old: Sequence[Reading], gate: Gate) -> tuple[float, float, float]:
    """The mean difference, ``new`` minus ``old``, over the same pictures, and the ends of its 95 % interval."""
    before = {each.id: each.value for each in old}
    values = np.array([each.value - before[each.id] for each in new])
    groups = [each.group for each in new]
    low, high = interval(lambda picks: float(values[picks].mean()), groups, resamples=gate.resamples, seed=gate.seed)
    return float(values.mean()), low, high


def publication(restricted: str, gate: Gate) -> Finding:
    """Whether ``restricted``, what must not be done with a version, keeps it from being champion."""
    if not restricted:
        return Finding("met", "may be published and sold", final=True)
    return Finding("met" if gate.in_house else "open", f"is {restricted}", final=True)


def whole(found: Sequence[Finding]) -> State:
    """How all conditions stand together: as the worst of them."""
    return min((each.state for each in found), key=ORDER.index)


def readings(rows: Sequence[PictureScore], samples: Sequence[Sample], score: Score | None) -> list[Reading]:
    """The values of the subject's held-out pictures behind ``score``; empty where the metric leaves none."""
    if score is None:
        return []
    judged = {sample.id: sample for sample in samples if sample.role == "subject"}
    return [
        Reading(
            id=each.sample,
            group=judged[each.sample].group,
            metric=score.metric,
            definition=score.definition,
            value=each.value,
        )
        for each in rows
        if (each.metric, each.arm) == (score.metric, score.arm) and each.sample in judged
    ]


def of(scores: Sequence[Score], metric: str, arm: Arm) -> Score | None:
    """The score of ``arm`` by ``metric``, if it was measured."""
    return next((score for score in scores if (score.metric, score.arm) == (metric, arm)), None)


def said(score: Score) -> str:
    """A score in words: the arm's value, and the interval of its difference from the base."""
    if score.adapter is None or score.low is None or score.high is None:
        return "–" if score.adapter is None else f"{score.adapter:.4g}"
    return f"{score.adapter:.4g} ({score.low:.4g} … {score.high:.4g})"


def _by_verdict(known: Mapping[str, Score], name: str) -> Finding:
    score = known.get(name)
    if score is None:
        return Finding("open", f"{name} was not measured")
    verdict = score.verdict or "no verdict"
    return Finding(OF_VERDICT.get(verdict, "open"), f"{name} {said(score)} against the base: {verdict}")


def _by_ceiling(known: Mapping[str, Score], name: str, most: float) -> Finding:
    score = known.get(name)
    if score is None or score.adapter is None:
        return Finding("open", f"{name} was not measured, and may be {most:g} at most")
    return Finding("met" if score.adapter <= most else "failed", f"{name} {score.adapter:.4g}, at most {most:g}")
