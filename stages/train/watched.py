"""Says how a training goes to whoever started it, and ends it when that one has seen enough: see ``stages.sweep.trials``."""

import json
import os
from pathlib import Path

import lightning

from stages.errors import DarkroomError
from stages.train.curves import Curves


def folder() -> Path | None:
    """Where somebody watches, by ``DARKROOM_WATCH``; None where nobody does."""
    given = os.environ.get("DARKROOM_WATCH")
    return Path(given) if given else None


class Watched(lightning.Callback):
    """Appends each held-out loss of the subject to ``points.jsonl``, and stops where there is a file ``stop``."""

    def __init__(self, to: Path) -> None:
        self._folder = to
        self._said = 0

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object, **__: object) -> None:
        """Say each new point.

        Raises:
            DarkroomError: when the training was given up; its last checkpoint stays.
        """
        curves = next(each for each in trainer.callbacks if isinstance(each, Curves))
        for point in curves.points[self._said :] if trainer.is_global_zero else ():
            if point.heldout_loss is not None and point.step:
                with (self._folder / "points.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": point.step, "value": point.heldout_loss}) + "\n")
        self._said = len(curves.points)
        if (self._folder / "stop").exists():
            raise DarkroomError(f"train: given up at step {trainer.global_step}, as the search asked")
