"""How an adapter is trained: the settings of a stage whose code is heavy, in a file that imports nothing heavy.

So the first stage of the pipeline can check them before anything is fetched, see ``stages.schemas``.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from stages import denoising, pipelines
from stages.config import settings

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]
Side = Annotated[int, Field(gt=0, multiple_of=8)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@settings
class Levels:
    """How often each noise level is met."""

    kind: Literal["uniform", "logit_normal", "mode"]
    mean: float  # of logit_normal; more is more noise
    std: Annotated[float, Field(gt=0)]  # of logit_normal
    scale: Annotated[float, Field(ge=-1, le=1.75)]  # of mode; the paper's range, in which it stays in (0, 1)


@settings
class Noise:
    """What an adapter is trained to take away."""

    levels: Levels
    weighting: denoising.Weighting
    offset: Annotated[float, Field(ge=0, lt=1)]  # share of a constant for each channel; 0 is plain noise
    perturbation: Annotated[float, Field(ge=0, lt=1)]  # more noise in what the denoiser sees than it is asked for


@settings
class Optimisation:
    """How the adapter learns from a batch."""

    clip: Annotated[float, Field(gt=0)]  # norm of the gradient
    caption_dropout: Annotated[float, Field(ge=0, lt=1)]  # share of captions left empty, for guidance
    noise: Noise
    outside_mask: Annotated[float, Field(ge=0, le=1)]  # what an error outside a picture's mask counts; 1 ignores masks
    ema_decay: Annotated[float, Field(ge=0, lt=1)]  # of the averaged adapter that is kept; 0 keeps the last


@settings
class Schedule:
    """How the rate changes in the course of a training."""

    kind: Literal["constant", "linear", "cosine", "cosine_restarts", "polynomial"]
    warmup: Annotated[int, Field(ge=0)]  # steps up to the highest rate
    floor: Annotated[float, Field(ge=0, le=1)]  # share of the highest rate that is left at the end
    cycles: Annotated[int, Field(gt=0)]  # of cosine_restarts
    power: Annotated[float, Field(gt=0)]  # of polynomial; 1 is linear


@settings
class Choice:
    """What is kept of a training, and when it ends."""

    keep: Literal["last", "best"]  # weights
    prior_margin: Share  # of the base's loss of the prior, by which the best step's may be higher
    patience: Annotated[int, Field(ge=0)]  # points of the curves without a better one, after which it ends; 0 is never
    min_delta: Share  # of the best held-out loss, by which a better one must be lower

    @property
    def heldout(self) -> bool:
        """Whether held-out pictures are asked for."""
        return self.keep == "best" or bool(self.patience)


@settings
class Trainer:
    """On what a training is spread, as Lightning names it. Another number of processes gives other last bits."""

    strategy: Literal["auto", "ddp", "fsdp"]  # fsdp: each process keeps a share of the base's weights
    devices: Positive  # of each machine, a process each
    num_nodes: Positive  # machines
    precision: Precision

    @property
    def ranks(self) -> int:
        """How many processes train."""
        return self.devices * self.num_nodes


@settings
class Samples:
    """Which pictures, and how often."""

    every: Annotated[int, Field(ge=0)]  # steps between two times; 0 draws none
    prompts: tuple[str, ...]  # none: the words of the first held-out picture of the subject
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]  # for each prompt
    size: tuple[Side, Side]  # width and height in pixels
    steps: Positive  # of the sampler
    guidance: Annotated[float, Field(ge=1)]


@settings
class Config:
    """The adapter, and how it is trained."""

    family: str
    adapter: dict[str, Any]  # one of ``stages.adapters``, and its settings
    rank: Positive
    alpha: Annotated[float, Field(gt=0)]  # the adapter's strength is alpha / rank
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: Annotated[tuple[str, ...], Field(min_length=1)]  # ends of the names of the layers that are adapted
    text_targets: tuple[str, ...]  # and of those of CLIP's text encoders; none: they stay as they are
    base_precision: pipelines.Precision  # of the frozen weights; the adapter's are fp32
    steps: Positive
    batch: Positive
    prior_share: Annotated[float, Field(ge=0, lt=1)]  # of each batch: pictures of what must not be lost
    prior_weight: Annotated[float, Field(ge=0)]  # what the error of one of these counts; the subject's counts 1
    lr: Annotated[float, Field(gt=0)]  # the highest
    text_lr: Annotated[float, Field(gt=0)]  # of text encoders, where they are trained
    lora_plus: Annotated[float, Field(gt=0)]  # by which the rate of a LoRA's B matrices is multiplied
    optimiser: dict[str, Any]  # one of ``stages.train.optimisers``, and its settings
    schedule: Schedule
    accumulate: Positive  # equal parts in which a batch is worked, when it does not fit into memory at once
    optimisation: Optimisation
    choice: Choice
    snapshots: Annotated[int, Field(ge=0)]  # steps between two adapters that are left on the way; 0 leaves none
    trainer: Trainer
    samples: Samples
    checkpointing: bool  # activations are computed again instead of kept: less memory, more time
    compile: bool  # networks, before they first run
    seed: int
    threads: Positive  # of torch: another number gives other bits
    curve_every: Positive  # steps between two points of the curves
    checkpoint_every: Positive  # steps
