"""A training in MLflow while it runs. ``DARKROOM_LIVE=0`` leaves that to ``track``, which writes the same when it is over.

It costs the training a line in a file: ``trainings`` carries the file to MLflow in a process of its own.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning

from stages import trainings
from stages.train.curves import Curves
from stages.train.figures import Figures

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

POINTS = 200  # of the finer curves, however long the training is
PATIENCE = 15.0  # seconds that a training waits at its end for what it wrote to arrive


def wanted() -> bool:
    """Whether to show the training while it runs: where there is a pipeline around, and nobody said no."""
    return os.environ.get("DARKROOM_LIVE") != "0" and trainings.experiment() is not None


class Live(lightning.Callback):
    """Writes down what there is to see, on rank 0."""

    def __init__(self, figures: Figures, spool: Path, *, training: str, steps: int) -> None:
        self._figures = figures
        self._spool = spool
        self._training = training
        self._every = max(1, steps // POINTS)
        self._sent = 0  # points
        self._done = 0  # steps
        self._process: SpawnProcess | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin, with all that came before: what MLflow has already is not written again."""
        if trainer.is_global_zero:
            self._curves = next(each for each in trainer.callbacks if isinstance(each, Curves))
            self._spool.write_text("")
            self._process = trainings.start(self._spool, trainings.experiment() or "", self._training)
            self._add_points()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Write the loss of now and then, and each new point."""
        step = trainer.global_step
        if self._process is not None and step > self._done:
            self._done = step
            if step % self._every == 0:
                rate = trainer.optimizers[0].param_groups[0]["lr"]
                self._append(step, numbers={"live/loss": self._curves.loss.item(), "live/rate": rate})
            self._add_points()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Say that it was broken off."""
        self._end("KILLED" if isinstance(exception, KeyboardInterrupt) else "FAILED")

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add what the training took, and say that it is over."""
        if self._process is not None:
            taken = self._figures.taken()
            self._append(0, numbers={f"machine/{name}": value for name, value in taken.items()})
            self._add_points()
            self._end("FINISHED")

    def add_pictures(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Show ``pictures`` of ``step`` by their names."""
        if self._process is not None:
            named = {f"samples/{name}": str(file) for name, file in pictures.items()}
            self._append(step, pictures=named)

    def _end(self, how: str) -> None:
        """Say ``how`` it ended, as MLflow names it, and wait until that has arrived, but not for long."""
        if self._process is None:
            return
        self._append(0, ended=how)
        self._process.join(PATIENCE)
        if self._process.exitcode != 0:
            log.warning(
                "train: the curves have not reached MLflow (%s); track writes them", self._spool.with_suffix(".log")
            )
            self._process.kill()
        else:
            self._spool.unlink()
            self._spool.with_suffix(".log").unlink()
        self._process = None

    def _add_points(self) -> None:
        for point in self._curves.points[self._sent :]:
            self._append(point.step, numbers=trainings.numbers_of(point))
        self._sent = len(self._curves.points)

    def _append(self, step: int, **what: Any) -> None:
        with self._spool.open("a") as stream:
            stream.write(json.dumps({"step": step, **what}) + "\n")
