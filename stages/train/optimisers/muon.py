"""Muon, torch's own, for the matrices, and AdamW for all else. Jordan et al., 2024; Liu et al., arXiv 2502.16982.

The second paper's ``match_rms_adamw`` makes its steps as large as AdamW's, so that AdamW's rate and decay fit.
"""

from functools import partial
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of Muon, and of AdamW for what is no matrix."""

    momentum: Share
    betas: tuple[Share, Share]  # of AdamW
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``."""
    from stages.train.muon import Muon

    return Optimiser(make=partial(Muon, momentum=config.momentum, betas=config.betas, weight_decay=config.weight_decay))
