"""What a training took of the machine: seconds and memory. They differ each time, so they stand in no output."""

import resource
import statistics
import sys
import time
from typing import Any

import lightning
import torch

from stages import machine

UNIT = 1 if sys.platform == "darwin" else 1024  # of ``ru_maxrss`` in bytes


class Figures(lightning.Callback):
    """Measures a training; what an earlier part of it took travels in the checkpoint."""

    def __init__(self, *, batch: int) -> None:
        self._batch = batch
        self._before = 0.0  # seconds of earlier parts
        self._peak = 0.0  # gigabytes of one process
        self._done = 0  # steps
        self._steps: list[float] = []  # seconds of each
        self._begun: float | None = None
        self._last = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._done = trainer.global_step
        self._begun = self._last = time.monotonic()
        if machine.device() == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Take a step's time, from end to end: a GPU is still at work when a step returns."""
        if trainer.global_step > self._done:
            now = time.monotonic()
            self._steps.append(now - self._last)
            self._last, self._done = now, trainer.global_step

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop the clock, and find the process that took the most memory."""
        self._before, self._begun = self._seconds(), None
        mine = torch.tensor(max(self._peak, _peak()), device=trainer.strategy.root_device)
        self._peak = trainer.strategy.reduce(mine, reduce_op="max").item()

    def taken(self) -> dict[str, float]:
        """Seconds in all and (median) of a step, pictures a second, and gigabytes of the process that took the most.

        On a GPU they are those that tensors took there, on a CPU all that the process held.
        """
        step = statistics.median(self._steps) if self._steps else 0.0
        return {
            "seconds": self._seconds(),
            "step_seconds": step,
            "samples_per_second": self._batch / step if step else 0.0,
            "peak_gigabytes": self._peak,
        }

    def state_dict(self) -> dict[str, Any]:
        """What was taken until now."""
        return {"seconds": self._seconds(), "peak": max(self._peak, _peak())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""
        self._before, self._peak = state_dict["seconds"], state_dict["peak"]

    def _seconds(self) -> float:
        return self._before + (time.monotonic() - self._begun if self._begun is not None else 0.0)


def _peak() -> float:
    """The most memory so far, in gigabytes."""
    if machine.device() == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1e9
