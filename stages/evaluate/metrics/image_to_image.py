"""PSNR and SSIM of held-out pictures that were noised and denoised again by their captions (SDEdit, arXiv 2108.01073).

Here there is a true picture to compare with; beside a picture made from words alone there is none.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.evaluate import fidelity, scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import Score


@settings
class Config:
    """How far pictures are taken apart."""

    strength: Annotated[float, Field(gt=0, lt=1)]  # share of the way to noise
    steps: Annotated[int, Field(gt=0)]  # of the sampler, for the whole way


def build(config: Config) -> Metric:
    """The metric: ``psnr_image_to_image`` and ``ssim_image_to_image``."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        samples = evidence.pictures.plain("subject", "heldout")
        if not samples:
            return
        reals = [evidence.pictures.real(sample) for sample in samples]
        drawn = evidence.reconstructed(strength=config.strength, steps=config.steps)
        how = {"strength": config.strength, "steps": config.steps}
        for name in fidelity.names(reals):
            values = {arm: fidelity.each(name, reals, pictures) for arm, pictures in drawn.items()}
            for arm in evidence.adapters:
                question = evidence.question(f"{name}_image_to_image", arm, "higher", by=how)
                clusters = scores.by_group(samples)
                yield scores.paired(question, (values[evidence.base], values[arm]), clusters, evidence.how)

    return measured
