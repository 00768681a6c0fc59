"""Scores that need only pictures: Fréchet distances, the copy rate, and a judge's opinion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages import plugins
from stages.evaluate import copies, scores
from stages.evaluate.embedders import Embedder
from stages.evaluate.judges import Judge
from stages.evaluate.pictures import Pictures
from stages.records import ARMS, ROLES, Generation, Role, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """By what pictures are compared."""

    embedder: Mapping[str, Any]
    judge: Mapping[str, Any] | None
    margin: float  # share of the base's value that the prior may lose
    copy_factor: float  # nearer than this times the usual distance is a copy
    how: scores.Resampling


def measured(opinion: Opinion, pictures: Pictures) -> Iterator[Score]:
    """The scores of what base and adapter generated with the same prompts and seeds."""
    for role in ROLES:
        if pictures.by_arm("base", role):
            yield from _distances(opinion, role, pictures)
            if opinion.judge:
                yield _judged(opinion, opinion.judge, role, pictures)
    yield _copied(opinion, pictures)


def _distances(opinion: Opinion, role: Role, pictures: Pictures) -> Iterator[Score]:
    """The Fréchet distance to the held-out pictures, named by its features; none where there are fewer than two."""
    reals = [pictures.real(sample) for sample in pictures.plain(role, "heldout")]
    if len(reals) < 2:
        return
    embed: Embedder = plugins.build("stages.evaluate.embedders", opinion.embedder)
    base, adapter = (embed([pictures.drawn(each) for each in pictures.by_arm(arm, role)]) for arm in ARMS)
    name = f"{'fd' if role == 'subject' else 'fd_prior'}_{opinion.embedder['name']}"
    seeds = _seeds(pictures.by_arm("base", role))
    yield scores.frechet(name, (base, adapter), embed(reals), seeds, opinion.how, margin=_margin(opinion, role))


def _judged(opinion: Opinion, judge: Mapping[str, Any], role: Role, pictures: Pictures) -> Score:
    says: Judge = plugins.build("stages.evaluate.judges", judge)
    base, adapter = (
        says([pictures.drawn(each) for each in drawn], [each.prompt for each in drawn]).astype(np.float64)
        for drawn in (pictures.by_arm(arm, role) for arm in ARMS)
    )
    seeds = _seeds(pictures.by_arm("base", role))
    name = f"judged_right_{role}"
    return scores.paired(name, (base, adapter), seeds, "higher", opinion.how, margin=_margin(opinion, role))


def _copied(opinion: Opinion, pictures: Pictures) -> Score:
    """The share of copies; the base cannot have copied what it has not seen, so its share is that of false alarms."""
    training = [sample for sample in pictures.samples if (sample.role, sample.split) == ("subject", "train")]
    known = copies.thumbnails([pictures.real(sample) for sample in training])
    groups = [sample.group for sample in training]
    base, adapter = (
        copies.copied(
            copies.thumbnails([pictures.drawn(each) for each in pictures.by_arm(arm, "subject")]),
            known,
            groups,
            factor=opinion.copy_factor,
        ).astype(np.float64)
        for arm in ARMS
    )
    return scores.paired("copy_rate", (base, adapter), _seeds(pictures.by_arm("base", "subject")), "lower", opinion.how)


def _seeds(generations: Sequence[Generation]) -> list[tuple[str, int]]:
    return [(each.prompt, each.seed) for each in generations]


def _margin(opinion: Opinion, role: Role) -> float | None:
    """What must not be lost is asked whether it was kept, what is learned whether it got better."""
    return opinion.margin if role == "prior" else None
