"""AdamW, torch's own. Loshchilov and Hutter, arXiv 1711.05101."""

from functools import partial
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of AdamW."""

    betas: tuple[Share, Share]  # what is kept of the gradient's mean and of its square's at each step
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``. All weights at once are stepped as each by itself would be, to the bit."""
    import torch

    made = partial(torch.optim.AdamW, betas=config.betas, weight_decay=config.weight_decay, foreach=True)
    return Optimiser(make=made)
