"""How far the adapter moves pictures that it should leave alone: the same prompts and seeds, without the subject.

1 minus the cosine between the features of the base's picture and of the arm's. The base has 0 by definition, so a
difference is all there is, and it has no verdict: how much is too much is for the gate to say.
"""

from collections.abc import Iterator

import numpy as np

from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.evaluate.metrics.cmmd import unit
from stages.records import Score


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``drift_NAME`` of each embedder's features, over the prior's pictures."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        drawn = evidence.pictures.by_arm(evidence.base, "prior")
        for embedder in evidence.embedders if drawn else ():
            base = unit(evidence.drawn(embedder, evidence.base, "prior"))
            for arm in evidence.adapters:
                moved = 1 - (base * unit(evidence.drawn(embedder, arm, "prior"))).sum(axis=1)
                question = evidence.question(f"drift_{embedder}", arm, "neither", by=evidence.by(embedder))
                arms = (np.zeros(len(moved)), moved)
                yield scores.paired(question, arms, scores.by_prompt(drawn), evidence.how)

    return measured
