"""Prodigy, by its authors' package: AdamW that finds the rate. Mishchenko and Defazio, arXiv 2306.06101.

``train.lr`` multiplies what it finds and is about 1. It takes no restarts, which its authors advise against, and one rate
for all weights.
"""

import contextlib
import io
from typing import Annotated, Any

from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Group, Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of Prodigy."""

    betas: tuple[Share, Share]  # what is kept of the gradient's mean and of its square's at each step
    weight_decay: Annotated[float, Field(ge=0)]
    d0: Annotated[float, Field(gt=0)]  # the first guess of the rate, which only grows
    d_coef: Annotated[float, Field(gt=0)]  # by which each guess is multiplied


def build(config: Config) -> Optimiser:
    """See ``Optimiser``."""

    def made(groups: list[Group]) -> Any:
        from prodigyopt import Prodigy

        with contextlib.redirect_stdout(io.StringIO()):  # it prints that the decay is decoupled
            return Prodigy(
                groups,
                betas=config.betas,
                weight_decay=config.weight_decay,
                d0=config.d0,
                d_coef=config.d_coef,
                use_bias_correction=True,  # as its authors advise for diffusion models
                safeguard_warmup=True,
            )

    return Optimiser(make=made, schedules=("constant", "linear", "cosine", "polynomial"), rates=False)
