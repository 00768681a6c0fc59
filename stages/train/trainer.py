"""Lightning's trainer, with what it would write or print by itself left to us."""

import logging
import warnings
from collections.abc import Sequence
from typing import Literal

import lightning

from stages import machine

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def build(
    callbacks: Sequence[lightning.Callback], *, precision: Precision, steps: int, accumulate: int, clip: float
) -> lightning.Trainer:
    """A trainer for one epoch of ``steps`` batches in ``accumulate`` parts each, gradients cut to a norm of ``clip``."""
    # Its remarks on workers, loggers and checkpoints within an epoch do not apply here.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    return lightning.Trainer(
        accelerator="gpu" if machine.device() == "cuda" else "cpu",
        devices=1,
        precision=precision,
        max_steps=steps,
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=clip,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
