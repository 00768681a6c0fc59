"""Which step of a training is the best, and when more would not help: by the held-out losses, as pure functions.

Who chooses by held-out pictures can no longer measure with them: the loss of the chosen step is lower than it would be
on pictures that nobody chose by, the more so the more points it was chosen from. Snapshots let others choose again.
"""

import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch

from stages.errors import ConfigError
from stages.records import Point, Sample
from stages.train.curves import Curves
from stages.train.module import Adaptation
from stages.train.settings import Choice


def refuse_unfit(choice: Choice, samples: Sequence[Sample]) -> None:
    """Say what is missing for ``choice``.

    Raises:
        ConfigError: when it asks for held-out pictures of the subject and there are none.
    """
    if choice.heldout and not any(sample.split == "heldout" and sample.role == "subject" for sample in samples):
        raise ConfigError(
            "train.choice: keep=best and patience need held-out pictures of the subject, and there are none; "
            "give a greater prepare.heldout, or keep=last and patience=0"
        )


def best(points: Sequence[Point], *, prior_margin: float) -> Point | None:
    """The point after the base's whose held-out loss is lowest, among those that keep the prior; none where none is held.

    A point keeps the prior when its prior loss is at most ``1 + prior_margin`` times the base's, the first point's. When
    none does, it is the one that loses least of the prior.
    """
    trained = [point for point in points[1:] if point.heldout_loss is not None]
    return min(trained, key=lambda point: _rank(point, points[0], prior_margin), default=None)


def stalled(points: Sequence[Point], *, patience: int, min_delta: float) -> bool:
    """Whether ``patience`` points have come since the last whose held-out loss was lower than all before by its share."""
    lowest, waited = math.inf, 0
    for point in points:
        loss = math.inf if point.heldout_loss is None else point.heldout_loss
        if loss < lowest * (1 - min_delta):
            lowest, waited = loss, 0
        else:
            waited += 1
    return 0 < patience <= waited


def _rank(point: Point, base: Point, prior_margin: float) -> tuple[bool, float]:
    lost = 0.0 if point.prior_loss is None or base.prior_loss is None else point.prior_loss / base.prior_loss - 1
    return (True, lost) if lost > prior_margin else (False, point.heldout_loss or 0.0)


class Chooser(lightning.Callback):
    """Holds the weights of the best point so far and ends a training that is stalled; to stand behind ``curves``."""

    def __init__(self, choice: Choice, curves: Curves) -> None:
        self._choice = choice
        self._curves = curves
        self._step = -1
        self._weights: list[torch.Tensor] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Adaptation) -> None:
        """End at once where the checkpoint was the last step."""
        trainer.should_stop = trainer.should_stop or self._stalled()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Adaptation, *_: Any) -> None:
        """Look at a new point."""
        newest = self._curves.points[-1]
        if newest.step != trainer.global_step or newest.step == self._step:
            return
        if self._choice.keep == "best" and newest == best(self._curves.points, prior_margin=self._choice.prior_margin):
            self._step = newest.step
            with pl_module.kept():
                self._weights = [weight.detach().clone() for weight in pl_module.weights()]
        trainer.should_stop = trainer.should_stop or self._stalled()

    def put_back(self, module: Adaptation) -> None:
        """Give ``module`` the weights of the best point, when they are to be kept."""
        for weight, chosen in zip(module.weights(), self._weights, strict=False):
            weight.data.copy_(chosen)

    def state_dict(self) -> dict[str, Any]:
        """The weights of the best point and its step."""
        return {"step": self._step, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        self._step, self._weights = state_dict["step"], state_dict["weights"]

    def _stalled(self) -> bool:
        choice = self._choice
        return stalled(self._curves.points, patience=choice.patience, min_delta=choice.min_delta)
