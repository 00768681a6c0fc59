"""The drawn pictures that are nearest to training pictures, each beside the one that it is near to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluate.metrics import copy_rate
from stages.evaluate.pictures import Pictures
from stages.images import Pixels
from stages.records import BASE, Arm, Generation, Sample

NEAREST = 3  # shown where none is a copy
MOST = 24  # shown where many are


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A drawn picture, the training picture nearest to it, and what the base drew of the same seed."""

    prompt: str
    seed: int
    distance: float  # as a share of what is usual among training pictures
    copy: bool
    drawn: Pixels
    training: Pixels
    base: Pixels


def pairs(pictures: Pictures, arm: Arm, factor: float | None) -> list[Pair]:
    """What ``arm`` drew within ``factor`` of the usual distance; where nothing is, or None is given, the nearest.

    The distances are those of ``copy_rate``.
    """
    drawn, training = pictures.by_arm(arm, "subject"), pictures.training("subject")
    if not drawn or not training:
        return []
    known = copy_rate.thumbnails([pictures.real(sample) for sample in training])
    usual = copy_rate.usual_distance(known, [sample.group for sample in training])
    which, distances = copy_rate.nearest(copy_rate.thumbnails([pictures.drawn(each) for each in drawn]), known)
    flagged = distances <= (-np.inf if factor is None else factor * usual)
    shares = distances / usual if usual else np.full(len(drawn), np.inf)
    order = np.argsort(distances, kind="stable")[: min(MOST, int(flagged.sum())) or NEAREST]
    return [
        _pair(pictures, drawn[n], training[which[n]], distance=float(shares[n]), copy=bool(flagged[n])) for n in order
    ]


def _pair(pictures: Pictures, generation: Generation, sample: Sample, *, distance: float, copy: bool) -> Pair:
    return Pair(
        prompt=generation.prompt,
        seed=generation.seed,
        distance=distance,
        copy=copy,
        drawn=pictures.drawn(generation),
        training=pictures.real(sample),
        base=pictures.drawn(_same(pictures.by_arm(BASE, "subject"), generation)),
    )


def _same(others: Sequence[Generation], wanted: Generation) -> Generation:
    return next(each for each in others if (each.prompt, each.seed) == (wanted.prompt, wanted.seed))
