"""The kernel distance: the squared discrepancy with a cubic kernel. Bińkowski et al., arXiv 1801.01401.

All pairs are used once. Unlike a Fréchet distance it is unbiased: sets of few pictures can be compared, and for equal
distributions it is 0 on average, so it may be negative.
"""

from collections.abc import Iterator

from stages.config import settings
from stages.evaluate import kernels, scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import Score


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``kid_NAME`` of each embedder's features, for the subject."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        clusters = scores.by_prompt(evidence.pictures.by_arm(evidence.base, "subject"))
        for embedder in evidence.embedders if evidence.comparable("subject") else ():
            real = evidence.real(embedder, "subject", "heldout")
            base, *others = (
                kernels.discrepancy(kernels.polynomial, evidence.drawn(embedder, arm, "subject"), real)
                for arm in evidence.arms
            )
            for arm, adapter in zip(evidence.adapters, others, strict=True):
                question = evidence.question(f"kid_{embedder}", arm, "lower", by=evidence.by(embedder))
                yield scores.compared(question, (base, adapter), clusters, evidence.how)

    return measured
