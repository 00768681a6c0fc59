"""How the tiny base is trained, in a file that imports nothing heavy: see ``stages.schemas``."""

from typing import Annotated

from pydantic import Field

from stages.config import settings

Positive = Annotated[int, Field(gt=0)]


@settings
class Training:
    """How long and how fast both parts learn."""

    seed: int
    threads: Positive  # of torch: another number gives other bits
    autoencoder_steps: Positive
    autoencoder_batch: Positive
    autoencoder_lr: Annotated[float, Field(gt=0)]
    recolour: bool  # show the autoencoder other colours than the pictures have
    denoiser_steps: Positive
    denoiser_batch: Positive
    denoiser_lr: Annotated[float, Field(gt=0)]
    caption_dropout: Annotated[float, Field(ge=0, lt=1)]  # share of captions left empty, for guidance
    gamma: Annotated[float, Field(gt=0)]  # of min-SNR
    ema_decay: Annotated[float, Field(ge=0, lt=1)]  # of the weights that are kept
