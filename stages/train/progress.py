"""How far a training is, on one line of the terminal."""

import sys
from typing import Any

import lightning
from tqdm import tqdm

from stages.train.curves import Curves

# Short enough for 80 columns at a hundred thousand steps; tqdm's own is not.
LINE = "{desc} |{bar}| {n_fmt}/{total_fmt} {rate_fmt}{postfix}, {remaining} left"


class Progress(lightning.Callback):
    """Steps, rate, time left and the losses on one line of the terminal; nothing where there is none."""

    def __init__(self, curves: Curves, *, steps: int) -> None:
        self._curves = curves
        self._steps = steps
        self._bar: Any = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin where the checkpoint left off."""
        hidden = not (trainer.is_global_zero and sys.stderr.isatty())
        where = {"total": self._steps, "initial": trainer.global_step}
        self._bar = tqdm(**where, desc="train", bar_format=LINE, dynamic_ncols=True, disable=hidden, leave=False)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """One step on."""
        if trainer.global_step % 5 == 0:
            point = self._curves.points[-1]
            heldout = "" if point.heldout_loss is None else f", held-out {point.heldout_loss:.3f}"
            self._bar.set_postfix_str(f"loss {self._curves.loss.item():.3f}{heldout}", refresh=False)
        self._bar.update(trainer.global_step - self._bar.n)  # batches may be parts of a step

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Clear the line."""
        self._bar.close()
