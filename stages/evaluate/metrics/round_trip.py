"""PSNR and SSIM of the autoencoder's round trip: the ceiling of everything that the model draws. It has no arms."""

from collections.abc import Iterator

from stages.config import settings
from stages.evaluate import fidelity, scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import BASE, Score


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``psnr_round_trip`` and ``ssim_round_trip``."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        samples = evidence.pictures.plain("subject", "heldout")
        if not samples:
            return
        reals = [evidence.pictures.real(sample) for sample in samples]
        for name in fidelity.names(reals):
            question = evidence.question(f"{name}_round_trip", BASE, "higher", by={})
            values = fidelity.each(name, reals, evidence.round_trip)
            yield scores.one_arm(question, values, scores.by_group(samples), evidence.how)

    return measured
