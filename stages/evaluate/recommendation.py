"""Which checkpoint to take: the best by one metric among those that lose nothing, and the earliest of equals."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import ADAPTER, Arm, Recommendation, Score


@settings
class Preference:
    """What a checkpoint is chosen by."""

    metric: str  # the part of ``metrics`` that is asked
    by: str  # the score of it that should be better
    keep: tuple[str, ...]  # scores that must not be lost
    ceilings: dict[str, Annotated[float, Field(ge=0)]]  # of scores: more is too much


def of(scores: Sequence[Score], evidence: Evidence, metric: Metric | None, preference: Preference) -> Recommendation:
    """The arm to take, with the reason; the end of training where ``metric``, by which to choose, was not asked for.

    The choice is made on the held-out pictures by which it is then judged, so its score flatters a little: the more
    checkpoints, the more. Where a checkpoint is not clearly worse than the best one, by the interval of their paired
    difference, the earliest such is taken: a shorter training forgets less.
    """
    known = {(score.metric, score.arm): score for score in scores}
    candidates = [arm for arm in evidence.adapters if (preference.by, arm) in known]
    if metric is None or not candidates:
        return Recommendation(id=ADAPTER, reason=f"the end of training: {preference.by} was not measured")
    faults = {arm: _faults(known, arm, preference) for arm in candidates}
    sound = [arm for arm in candidates if not faults[arm]]
    if not sound:
        said = "; ".join(f"{arm}: {', '.join(faults[arm])}" for arm in candidates)
        return Recommendation(id=ADAPTER, reason=f"the end of training, and not sound: {said}")
    best = min(sound, key=lambda arm: (_cost(known[preference.by, arm]), _order(arm)))
    worse = {score.arm for score in metric(evidence.against(best)) if _is(score, preference.by, "worse")}
    earliest = min((arm for arm in sound if arm not in worse), key=_order)
    return Recommendation(id=earliest, reason=_reason(known, earliest, best, preference.by, len(candidates)))


def _reason(known: Mapping[tuple[str, Arm], Score], chosen: Arm, best: Arm, by: str, count: int) -> str:
    said = f"{by} {_value(known[by, chosen]):.4g}"
    if chosen == best:
        return f"{said}, the best of {count}"
    return f"{said}; {best} has {_value(known[by, best]):.4g}, no clear difference, after a longer training"


def _faults(known: Mapping[tuple[str, Arm], Score], arm: Arm, preference: Preference) -> list[str]:
    lost = [f"{name} is lost" for name in preference.keep if _is(known.get((name, arm)), name, "lost")]
    over = [
        f"{name} is over {most:g}"
        for name, most in preference.ceilings.items()
        if (name, arm) in known and _value(known[name, arm]) > most
    ]
    return lost + over


def _is(score: Score | None, metric: str, verdict: str) -> bool:
    return score is not None and (score.metric, score.verdict) == (metric, verdict)


def _order(arm: Arm) -> tuple[bool, Arm]:
    """Steps in their order, then the end of training."""
    return arm == ADAPTER, arm


def _value(score: Score) -> float:
    return score.adapter if score.adapter is not None else float("nan")


def _cost(score: Score) -> float:
    return -_value(score) if score.better == "higher" else _value(score)
