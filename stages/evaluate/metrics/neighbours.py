"""Whether what is drawn lies among the real pictures, and whether it reaches all of them.

``density`` and ``coverage`` of Naeem et al., arXiv 2002.09797, and ``precision`` and ``recall`` of Kynkäänniemi et al.,
arXiv 1904.06991, which a single outlier among the real pictures can spoil: read the first two.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.bootstrap import Picks
from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence, Features
from stages.evaluate.metrics import Metric
from stages.records import Score

NAMES = ("precision", "recall", "density", "coverage")


@settings
class Config:
    """How wide the neighbourhoods are."""

    neighbours: Annotated[int, Field(gt=0)]  # pictures within the ball around each picture


class Neighbourhoods(NamedTuple):
    """Distances between drawn and real pictures, and the ball around each: the distance to its k-th neighbour."""

    apart: NDArray[np.float64]  # float64[R, G]
    real: NDArray[np.float64]  # float64[R]
    drawn: NDArray[np.float64]  # float64[G]
    neighbours: int

    def precision(self, picks: Picks) -> float:
        """The share of drawn pictures within the ball of a real one."""
        return float((self.apart[:, picks] < self.real[:, None]).any(axis=0).mean())

    def recall(self, picks: Picks) -> float:
        """The share of real pictures within the ball of a drawn one."""
        return float((self.apart[:, picks] < self.drawn[None, picks]).any(axis=1).mean())

    def density(self, picks: Picks) -> float:
        """The mean number of real balls around a drawn picture, over k: 1 for equal distributions, and unbounded."""
        return float((self.apart[:, picks] < self.real[:, None]).sum(axis=0).mean() / self.neighbours)

    def coverage(self, picks: Picks) -> float:
        """The share of real pictures with a drawn one in their ball."""
        return float((self.apart[:, picks].min(axis=1) < self.real).mean())


def build(config: Config) -> Metric:
    """The metric: four scores of each embedder's features, for the subject."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        pictures = evidence.pictures
        enough = min(len(pictures.plain("subject", "heldout")), len(pictures.by_arm(evidence.base, "subject")))
        for embedder in evidence.embedders if enough > config.neighbours else ():
            yield from _of_embedder(evidence, embedder, config.neighbours)

    return measured


def neighbourhoods(drawn: Features, real: Features, *, neighbours: int) -> Neighbourhoods:
    """The neighbourhoods of two sets, each of more than ``neighbours`` pictures."""
    return Neighbourhoods(_distances(real, drawn), _radii(real, neighbours), _radii(drawn, neighbours), neighbours)


def _of_embedder(evidence: Evidence, embedder: str, neighbours: int) -> Iterator[Score]:
    real = evidence.real(embedder, "subject", "heldout")
    base, *others = (
        neighbourhoods(evidence.drawn(embedder, arm, "subject"), real, neighbours=neighbours) for arm in evidence.arms
    )
    clusters = scores.by_prompt(evidence.pictures.by_arm(evidence.base, "subject"))
    for arm, adapter in zip(evidence.adapters, others, strict=True):
        for name in NAMES:
            by = {**evidence.by(embedder), "neighbours": neighbours}
            question = evidence.question(f"{name}_{embedder}", arm, "higher", by=by)
            yield scores.compared(question, (getattr(base, name), getattr(adapter, name)), clusters, evidence.how)


def _radii(features: Features, neighbours: int) -> NDArray[np.float64]:
    """The distance of each picture to its k-th neighbour, itself not counted."""
    return np.asarray(np.partition(_distances(features, features), neighbours, axis=1)[:, neighbours])


def _distances(one: Features, other: Features) -> NDArray[np.float64]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None, :] - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
