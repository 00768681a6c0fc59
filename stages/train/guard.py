"""Stops a training that came to numbers that are none, before they spoil what was learned."""

from collections.abc import Sequence
from pathlib import Path

import lightning
import torch

from stages.errors import ModelError
from stages.train.batches import Batches, Plan
from stages.train.loading import Batch

CURE = "give a lower train.lr or a longer train.schedule.warmup"


class Guard(lightning.Callback):
    """Looks at every loss before a gradient is made of it."""

    def __init__(self, plan: Plan, checkpoint: Path) -> None:
        self._plan = plan
        self._checkpoint = checkpoint
        self._samples: list[tuple[int, int]] = []  # step and place of each

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Remember which samples they are."""
        self._samples = [(batch.step, place) for place in batch.places]

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: torch.Tensor
    ) -> None:
        """Look at the loss.

        Raises:
            ModelError: when it is not finite, with the step, the samples and the last good checkpoint.
        """
        if loss.isfinite():
            return
        drawn = Batches(self._plan)
        ids = [self._plan.samples[drawn.batch(step)[place]].id for step, place in self._samples]
        raise ModelError(
            f"train: the loss of step {trainer.global_step + 1} is {loss.item()}; its samples are {', '.join(ids)}; "
            f"{_last_good(self._checkpoint)}; look at these samples, or {CURE}"
        )


def refuse_broken(weights: Sequence[torch.Tensor], *, step: int, checkpoint: Path) -> None:
    """Say that weights are spoilt, before they are written over good ones.

    Raises:
        ModelError: when one is not finite.
    """
    sizes = torch.stack(torch._foreach_norm([weight.detach() for weight in weights]))  # noqa: SLF001
    if not sizes.isfinite().all():
        raise ModelError(f"train: after step {step} weights are no finite numbers; {_last_good(checkpoint)}; {CURE}")


def _last_good(checkpoint: Path) -> str:
    return f"the last good checkpoint is {checkpoint}" if checkpoint.is_file() else "there is no checkpoint yet"
