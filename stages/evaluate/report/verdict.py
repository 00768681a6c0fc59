"""What a run came to, in words: what got better, what was lost, whether to trust it, and what to take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.evaluate import scores
from stages.evaluate.report import words
from stages.records import ADAPTER, BASE, Plan, Recommendation, Score

FEW_PICTURES = 50  # below these a distance between two sets says little; benchmarks/metrics.py shows how little


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The head of the page."""

    tone: str  # "better", "worse", or "" where neither can be said
    gained: str
    lost: str
    taken: str
    doubts: Sequence[str]  # reasons to trust it less


def of(rows: Sequence[Score], chosen: Recommendation, plan: Plan) -> Verdict:
    """The verdict on the arm that is recommended."""
    those = [row for row in rows if row.arm == chosen.id and row.delta is not None]
    found = words.by_verdict(those)
    bad = [*found.get("worse", []), *found.get("lost", [])]
    better = found.get("better", [])
    return Verdict(
        tone="worse" if bad else "better" if better else "",
        gained=_gained(better, len(those)),
        lost=_lost(bad, found.get("kept", [])),
        taken=_taken(chosen),
        doubts=list(_doubts(rows, those, plan)),
    )


def _gained(better: Sequence[str], count: int) -> str:
    if not better:
        return f"There is no evidence that anything got better, by {count} measures"
    return f"Better than the base by {len(better)} of {count} measures ({', '.join(better)})"


def _lost(bad: Sequence[str], kept: Sequence[str]) -> str:
    if bad:
        return f"worse or lost: {', '.join(bad)}"
    if kept:
        return f"nothing was lost that had to be kept ({', '.join(kept)})"
    return "nothing is clearly worse, and of nothing is it certain that it was kept"


def _taken(chosen: Recommendation) -> str:
    name = "the end of training" if chosen.id == ADAPTER else words.arm_name(chosen.id)
    reason = chosen.reason.removeprefix("the end of training").removeprefix(", and ").removeprefix(": ")
    return f"Take {name}: {reason}"


def _doubts(rows: Sequence[Score], those: Sequence[Score], plan: Plan) -> Iterator[str]:
    alone = [row.metric for row in those if row.unit == "picture"]
    if alone:
        few = scores.FEW_PROMPTS
        yield f"Few prompts: {plan.prompts} in all, and with fewer than {few} of a role nothing is said of other prompts"
    short = sorted({row.metric for row in those if row.unit != "picture" and row.clusters > 1 and scores.remark(row)})
    if short:
        yield f"Intervals from fewer than {scores.FEW_CLUSTERS} groups, true if others vary by the normal law: {', '.join(short)}"
    small = min((row.count for row in those), default=0)
    if small < FEW_PICTURES:
        yield f"Few pictures: as few as {small} behind a measure, so that only large differences show"
    arms = {row.arm for row in rows} - {BASE}
    if len(arms) > 1:
        yield f"The best of {len(arms)} was chosen by the pictures that also judge it, which flatters it a little"
