"""AdamW whose two means take a byte each, by bitsandbytes on a GPU. Dettmers et al., arXiv 2110.02861."""

from functools import partial
from importlib.util import find_spec
from typing import Annotated

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.errors import ConfigError
from stages.train.optimisers import Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of AdamW."""

    betas: tuple[Share, Share]  # what is kept of the gradient's mean and of its square's at each step
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``.

    Raises:
        ConfigError: when there is no GPU, or bitsandbytes is not installed.
    """
    if machine.device() != "cuda":
        raise ConfigError("train.optimiser: adamw8bit needs a GPU, and there is none; choose optimiser=adamw")
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            "train.optimiser: adamw8bit needs bitsandbytes; `pip install 'darkroom[quantised]'`, or choose optimiser=adamw"
        )
    from bitsandbytes.optim import AdamW8bit

    return Optimiser(make=partial(AdamW8bit, betas=config.betas, weight_decay=config.weight_decay))
