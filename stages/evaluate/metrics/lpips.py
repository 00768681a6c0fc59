"""How far held-out pictures are to the eye from themselves: noised and denoised again, and after the autoencoder alone.

See ``stages.evaluate.lpips``. Both have a true picture to compare with; beside a picture made from words there is none.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.lpips import Lpips, Name
from stages.evaluate.metrics import Metric
from stages.evaluate.published import Published
from stages.records import BASE, Score


@settings
class Config:
    """By which network, and how far pictures are taken apart."""

    network: Name
    weights: dict[Name, Published]  # of each network
    strength: Annotated[float, Field(gt=0, lt=1)]  # share of the way to noise
    steps: Annotated[int, Field(gt=0)]  # of the sampler, for the whole way


def distance(config: Config) -> Lpips:
    """The distance that ``config`` chooses."""
    return Lpips(config.network, config.weights[config.network])


def build(config: Config) -> Metric:
    """The metric: ``lpips_image_to_image`` and ``lpips_round_trip``; neither where a picture is too small."""
    apart = distance(config)

    def measured(evidence: Evidence) -> Iterator[Score]:
        samples = evidence.pictures.plain("subject", "heldout")
        reals = [evidence.pictures.real(sample) for sample in samples]
        if not reals or not apart.takes(reals):
            return
        clusters, by = scores.by_group(samples), {"lpips": apart.identity}
        question = evidence.question("lpips_round_trip", BASE, "lower", by=by)
        yield scores.one_arm(question, apart.of(reals, evidence.round_trip), clusters, evidence.how)
        drawn = evidence.reconstructed(strength=config.strength, steps=config.steps)
        by_arm = {arm: apart.of(reals, drawn[arm]) for arm in evidence.arms}
        how = by | {"strength": config.strength, "steps": config.steps}
        for arm in evidence.adapters:
            question = evidence.question("lpips_image_to_image", arm, "lower", by=how)
            yield scores.paired(question, (by_arm[evidence.base], by_arm[arm]), clusters, evidence.how)

    return measured
