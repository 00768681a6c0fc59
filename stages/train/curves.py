"""The curves of a training: loss, rate and held-out losses, one point every so many steps."""

from collections.abc import Callable
from typing import Any

import lightning
import torch

from stages.records import Point, Role


class Curves(lightning.Callback):
    """One ``Point`` every ``every`` steps and at the end; its state travels in the checkpoint."""

    def __init__(self, heldout: Callable[[], dict[Role, float | None]], *, every: int, steps: int) -> None:
        self.points: list[Point] = []
        self._heldout = heldout
        self._every = every
        self._steps = steps
        self.loss = torch.zeros(())  # of the last batch, all processes together
        self._losses: list[torch.Tensor] = []
        self._done = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The first point is what the base knows, before any step."""
        self._done = trainer.global_step
        if not self.points:
            self._add(0, rate=0.0)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Take the loss in, and add a point when it is due."""
        whole = outputs["loss"].detach() * trainer.accumulate_grad_batches  # Lightning gives the part of a step
        self.loss = trainer.strategy.reduce(whole, reduce_op="mean")
        self._losses.append(self.loss)
        if trainer.global_step > self._done:
            self._done = trainer.global_step
            if self._done % self._every == 0 or self._done == self._steps:
                self._add(self._done, rate=trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the last point of a training that ended early."""
        if self.points[-1].step < trainer.global_step:
            self._add(trainer.global_step, rate=trainer.optimizers[0].param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to draw the same curves."""
        fields = ("id", "step", "loss", "rate", "heldout_loss", "prior_loss")
        return {
            "points": [{name: getattr(each, name) for name in fields} for each in self.points],
            "losses": [loss.item() for loss in self._losses],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        self.points = [Point(**each) for each in state_dict["points"]]
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]

    def _add(self, step: int, *, rate: float) -> None:
        heldout = self._heldout()
        loss = sum(each.item() for each in self._losses) / max(1, len(self._losses))
        self._losses = []
        self.points.append(
            Point(
                id=f"{step:08d}",
                step=step,
                loss=loss,
                rate=rate,
                heldout_loss=heldout["subject"],
                prior_loss=heldout["prior"],
            )
        )
