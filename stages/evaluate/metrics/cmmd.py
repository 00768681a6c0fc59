"""The maximum mean discrepancy with a Gaussian kernel, times 1000. Jayasumana et al., arXiv 2401.09603.

Features are made unit vectors first, for which the kernel's width was chosen. The paper's code has the biased form,
which for few pictures is most of the number; this one is unbiased.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.bootstrap import Picks
from stages.config import settings
from stages.evaluate import kernels, scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import Score

SCALE = 1000.0  # the paper's


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``cmmd_NAME`` of each embedder's features, for the subject."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        clusters = scores.by_prompt(evidence.pictures.by_arm(evidence.base, "subject"))
        for embedder in evidence.embedders if evidence.comparable("subject") else ():
            real = unit(evidence.real(embedder, "subject", "heldout"))
            base, *others = (_statistic(unit(evidence.drawn(embedder, arm, "subject")), real) for arm in evidence.arms)
            for arm, adapter in zip(evidence.adapters, others, strict=True):
                question = evidence.question(f"cmmd_{embedder}", arm, "lower", by=evidence.by(embedder))
                yield scores.compared(question, (base, adapter), clusters, evidence.how)

    return measured


def unit(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row over its length; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1))


def _statistic(drawn: NDArray[np.float64], real: NDArray[np.float64]) -> scores.Statistic:
    squared = kernels.discrepancy(kernels.gaussian, drawn, real)

    def scaled(picks: Picks) -> float:
        return SCALE * squared(picks)

    return scaled
