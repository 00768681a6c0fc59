"""Schedule-free AdamW, by its authors' package: an average stands in for the falling rate. Defazio et al., arXiv 2405.15682.

What is trained is a point between the average and the last weights. The average is what is measured and kept.
"""

from functools import partial
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of schedule-free AdamW."""

    betas: tuple[
        Annotated[float, Field(gt=0, lt=1)], Share
    ]  # how near the average training happens; what is kept of the gradient's squared mean
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``."""
    from schedulefree import AdamWScheduleFree

    made = partial(AdamWScheduleFree, betas=config.betas, weight_decay=config.weight_decay)
    return Optimiser(make=made, schedules=("constant",), averages=True)
