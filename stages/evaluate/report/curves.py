"""Numbers by the step of training: of the arms, with intervals, and of the training itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.evaluate.report import words
from stages.records import ADAPTER, Point, Score

WIDTH, HEIGHT = 320, 150  # of a drawing, in units of SVG
LEFT, RIGHT, TOP, BOTTOM = 46, 312, 10, 128  # of the part with the curve
LOSSES = ("heldout_loss", "prior_loss")
TRAINING = (
    ("training loss", "loss"),
    ("held-out loss of the subject", "heldout_loss"),
    ("held-out loss of the prior", "prior_loss"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One number of a curve; ``low`` and ``high`` bound it, or equal it."""

    step: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A curve in the units of its SVG."""

    label: str
    note: str
    path: str  # as ``polyline`` wants it
    bars: Sequence[tuple[float, float, float]]  # x, upper and lower y
    base: float | None  # y of the base's line
    scale: tuple[str, str, str]  # least and greatest value, last step


def by_metric(scores: Sequence[Score], last: int) -> Mapping[str, list[Mark]]:
    """For each compared metric the base at step 0, the checkpoints, and the end of training at step ``last``.

    The bounds are those of the difference from the base, laid on the base's value: the base itself has none.
    """
    found: dict[str, list[Mark]] = {}
    compared = [each for each in scores if each.delta is not None]
    for score in sorted(compared, key=lambda each: (each.metric, _step(each, last))):
        base, value = score.base or 0.0, score.adapter or 0.0
        marks = found.setdefault(score.metric, [Mark(step=0, value=base, low=base, high=base)])
        low, high = (value if end is None else base + end for end in (score.low, score.high))
        marks.append(Mark(step=_step(score, last), value=value, low=low, high=high))
    return found


def files(scores: Sequence[Score], last: int) -> Iterator[tuple[str, str]]:
    """For each metric its name and a CSV of step, value, bounds and base, as ``dvc plots`` reads it."""
    for metric, marks in by_metric(scores, last).items():
        lines = [f"{mark.step},{mark.value!r},{mark.low!r},{mark.high!r},{marks[0].value!r}" for mark in marks]
        yield metric, "\n".join(["step,value,low,high,base", *lines]) + "\n"


def drawings(scores: Sequence[Score], last: int) -> list[Drawing]:
    """The losses and one distance over the arms; nothing where the end of training is the only one."""
    if {each.arm for each in scores if each.delta is not None} <= {ADAPTER}:
        return []
    found = by_metric(scores, last)
    distance = next((name for name in found if name.startswith(("fid", "fd_", "kid_", "cmmd_"))), None)
    names = [name for name in (*LOSSES, distance) if name in found]
    return [_drawing(name, found[name], base=found[name][0].value) for name in names if name]


def training(points: Sequence[Point]) -> list[Drawing]:
    """The curves of the training that have a point; before the first step there is no training loss."""
    drawn = []
    for label, field in TRAINING:
        known = [(point.step, getattr(point, field)) for point in points if point.step or field != "loss"]
        marks = [Mark(step=step, value=value, low=value, high=value) for step, value in known if value is not None]
        if marks:
            drawn.append(_drawing(label, marks, base=None))
    return drawn


def _drawing(label: str, marks: Sequence[Mark], *, base: float | None) -> Drawing:
    reach = [number for mark in marks for number in (mark.low, mark.value, mark.high)]
    low, high = min(reach), max(reach)
    last = marks[-1].step or 1

    def across(step: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * step / last, 1)

    def down(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / ((high - low) or 1), 1)

    first, end = words.number(marks[0].value), words.number(marks[-1].value)
    return Drawing(
        label=label,
        note=f"{first} → {end} in {marks[-1].step} steps",
        path=" ".join(f"{across(mark.step)},{down(mark.value)}" for mark in marks),
        bars=[(across(mark.step), down(mark.high), down(mark.low)) for mark in marks if mark.low < mark.high],
        base=None if base is None else down(base),
        scale=(words.number(low), words.number(high), str(marks[-1].step)),
    )


def _step(score: Score, last: int) -> int:
    step = words.step(score.arm)
    return last if step is None else step
