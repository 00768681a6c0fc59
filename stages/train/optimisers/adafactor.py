"""Adafactor, torch's own: AdamW's second mean as a row and a column, no first. Shazeer and Stern, arXiv 1804.04235.

The paper scales each step by the size of the weights. A LoRA's B begins at zero and would hardly move, so a step has at
least ``min_scale`` times the rate: with 1 it has the rate itself, as other trainers have it by ``scale_parameter=False``.
torch's own can say that, so transformers' is not needed.
"""

from functools import partial
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Optimiser


@settings
class Config:
    """Of Adafactor."""

    min_scale: Annotated[float, Field(gt=0)]  # of the weights, by which the rate is multiplied: the paper's epsilon_2
    clip: Annotated[float, Field(ge=1)]  # root mean square of an update: the paper's d
    beta2_decay: Annotated[float, Field(le=0)]  # how soon the mean gets long: less is later
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``."""
    import torch

    made = partial(
        torch.optim.Adafactor,
        eps=(None, config.min_scale),
        d=config.clip,
        beta2_decay=config.beta2_decay,
        weight_decay=config.weight_decay,
    )
    return Optimiser(make=made)
