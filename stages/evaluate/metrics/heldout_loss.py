"""The denoising loss of held-out pictures, at fixed noise levels and with fixed noise: luck has no part in it.

``heldout_loss`` is that of the subject, which should fall; ``prior_loss`` that of what must not be lost.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.denoising import FIXED_PARTS
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import Role, Score

NAMES: dict[Role, str] = {"subject": "heldout_loss", "prior": "prior_loss"}


@settings
class Config:
    """What the prior may lose."""

    margin: Annotated[float, Field(ge=0)]  # share of the base's loss


def build(config: Config) -> Metric:
    """The metric."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        for role, name in NAMES.items():
            clusters = scores.by_group(evidence.pictures.plain(role, "heldout"))
            for arm in evidence.adapters if clusters.of else ():
                margin = config.margin if role == "prior" else None
                question = evidence.question(name, arm, "lower", by={"levels": FIXED_PARTS}, margin=margin)
                arms = (evidence.losses[evidence.base][role].mean(axis=1), evidence.losses[arm][role].mean(axis=1))
                yield scores.paired(question, arms, clusters, evidence.how)

    return measured
