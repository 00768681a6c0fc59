"""How much what is drawn looks like the held-out pictures: the mean cosine of features, CLIP-I and DINO-I among them.

Ruiz et al., arXiv 2208.12242: all pairs of a drawn picture and a reference. A copy scores best, so read it beside
``copy_rate`` and beside ``..._ceiling``, what the references are like among each other: more is not to be wished for.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence, Features
from stages.evaluate.metrics import Metric
from stages.evaluate.metrics.cmmd import unit
from stages.records import BASE, Score

NAMES = {"clip": "clip_i", "dinov2": "dino_i"}  # the field's, of the embedders that have one


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``clip_i``, ``dino_i`` or ``similarity_NAME`` of each embedder's features, for the subject."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        for embedder in evidence.embedders if evidence.comparable("subject") else ():
            name = NAMES.get(embedder, f"similarity_{embedder}")
            yield from _of_arms(evidence, embedder, name)
            yield from _ceiling(evidence, embedder, name)

    return measured


def likeness(drawn: Features, references: Features) -> NDArray[np.float64]:
    """float64[N], -1 to 1: of each drawn picture the mean cosine to all references."""
    return np.asarray((unit(drawn) @ unit(references).T).mean(axis=1))


def among(references: Features, groups: Sequence[str]) -> NDArray[np.float64]:
    """float64[N]: of each reference the mean cosine to those of other groups; NaN where there are none.

    Near-duplicates and pictures of one page are of one group: among themselves they would lift the ceiling beyond what
    any other picture reaches.
    """
    vectors, of = unit(references), np.array(groups)
    others = of[:, None] != of[None, :]
    counts = others.sum(axis=1)
    sums = np.where(others, vectors @ vectors.T, 0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _of_arms(evidence: Evidence, embedder: str, name: str) -> Iterator[Score]:
    """The references stay as they are: the interval says how the likeness varies with what is generated."""
    real = evidence.real(embedder, "subject", "heldout")
    clusters = scores.by_prompt(evidence.pictures.by_arm(evidence.base, "subject"))
    base, *others = (likeness(evidence.drawn(embedder, arm, "subject"), real) for arm in evidence.arms)
    for arm, adapter in zip(evidence.adapters, others, strict=True):
        question = evidence.question(name, arm, "higher", by=evidence.by(embedder))
        yield scores.paired(question, (base, adapter), clusters, evidence.how)


def _ceiling(evidence: Evidence, embedder: str, name: str) -> Iterator[Score]:
    samples = evidence.pictures.plain("subject", "heldout")
    values = among(evidence.real(embedder, "subject", "heldout"), [sample.group for sample in samples])
    if np.isfinite(values).all():
        question = evidence.question(f"{name}_ceiling", BASE, "neither", by=evidence.by(embedder))
        yield scores.landmark(question, float(values.mean()), scores.by_group(samples))
