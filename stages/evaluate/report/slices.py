"""Which held-out pictures are hard: the worst ones, and simple means over kinds of them, without a test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stages.evaluate.pictures import Pictures
from stages.images import Pixels
from stages.records import BASE, Arm, PictureScore, Sample

METRIC = "heldout_loss"
WORST = 8  # pictures
LEAST = 2  # pictures of a kind: one alone stands among the worst, or nowhere
MOST = 16  # kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The mean loss of a kind of held-out pictures, by the base and by an arm."""

    kind: str  # "role", "size", "word" or "group"
    name: str
    count: int
    base: float
    arm: float

    @property
    def change(self) -> float:
        """What the arm has more than the base."""
        return self.arm - self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A held-out picture that the arm denoises badly."""

    text: str
    real: Pixels
    base: float
    arm: float


def slices(pictures: Pictures, rows: Sequence[PictureScore], arm: Arm) -> list[Slice]:
    """Kinds of at least ``LEAST`` pictures, but not of all; those that gained least come first, ``MOST`` at most."""
    samples, losses = _losses(pictures, rows, arm)
    kinds: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        for kind in _kinds(sample):
            kinds.setdefault(kind, []).append(sample)
    found = [_mean(kind, those, losses) for kind, those in sorted(kinds.items()) if LEAST <= len(those) < len(samples)]
    return sorted(found, key=lambda each: -each.change)[:MOST]


def worst(pictures: Pictures, rows: Sequence[PictureScore], arm: Arm) -> list[Worst]:
    """The ``WORST`` held-out pictures of the subject by the loss of ``arm``."""
    samples, losses = _losses(pictures, rows, arm)
    subject = [sample for sample in samples if sample.role == "subject"]
    ranked = sorted(subject, key=lambda sample: -losses[sample.id][1])[:WORST]
    return [_worst(pictures, sample, losses[sample.id]) for sample in ranked]


def _losses(
    pictures: Pictures, rows: Sequence[PictureScore], arm: Arm
) -> tuple[list[Sample], Mapping[str, tuple[float, float]]]:
    """The held-out samples whose loss by base and by ``arm`` is known, and both."""
    known = {(row.arm, row.sample): row.value for row in rows if row.metric == METRIC}
    both = {id for of, id in known if of == BASE} & {id for of, id in known if of == arm}
    samples = [sample for sample in pictures.samples if sample.id in both]
    return samples, {sample.id: (known[BASE, sample.id], known[arm, sample.id]) for sample in samples}


def _kinds(sample: Sample) -> Iterator[tuple[str, str]]:
    yield "role", sample.role
    yield "size", f"{sample.width} × {sample.height}"
    yield "group", sample.group[:8]
    for word in sorted(set(sample.text.casefold().split())):
        yield "word", word.strip(".,;:!?\"'()")


def _mean(kind: tuple[str, str], samples: Sequence[Sample], losses: Mapping[str, tuple[float, float]]) -> Slice:
    base, arm = (sum(losses[sample.id][which] for sample in samples) / len(samples) for which in (0, 1))
    return Slice(kind=kind[0], name=kind[1], count=len(samples), base=base, arm=arm)


def _worst(pictures: Pictures, sample: Sample, losses: tuple[float, float]) -> Worst:
    return Worst(text=sample.text, real=pictures.real(sample), base=losses[0], arm=losses[1])
