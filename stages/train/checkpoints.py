"""What a training that was stopped goes on from, and the adapters that it leaves on its way."""

import logging
import os
import pickle
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch

from stages import machine
from stages.errors import DarkroomError, ModelError
from stages.train.guard import refuse_broken
from stages.train.module import Adaptation

log = logging.getLogger(__name__)
SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a scheduler sends before it takes the machine away


def newest(file: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint of ``file`` and its step, if there is one. A damaged one is set aside, and said.

    Raises:
        ModelError: when it was made by other settings.
    """
    for each in (file, before(file)):
        if not each.is_file():
            continue
        try:
            state = torch.load(each, weights_only=True)
            origin, step = state["of"], state["global_step"]
        except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
            aside = each.replace(each.with_suffix(".damaged"))
            log.warning("train: the checkpoint %s is damaged and set aside; training goes on without it", aside)
            continue
        if origin != file.stem:
            raise ModelError(f"{each}: is a checkpoint of other settings or data ({origin}); move it away")
        return each, step
    return None


def before(file: Path) -> Path:
    """Where the checkpoint before ``file`` lies."""
    return file.with_suffix(".before.ckpt")


def snapshots(file: Path) -> Path:
    """The folder beside ``file`` in which snapshots wait for the end: DVC empties a stage's output before it runs."""
    return file.with_suffix(".snapshots")


def remove(file: Path) -> None:
    """Forget all that was kept to go on from."""
    file.unlink(missing_ok=True)
    before(file).unlink(missing_ok=True)
    shutil.rmtree(snapshots(file), ignore_errors=True)


class Checkpoints(lightning.Callback):
    """A checkpoint every ``every`` steps and when a signal ends the run; outside DVC's outputs, whole or not at all.

    None of the last step: Lightning would enter no training that is over, and nothing would be done that is done at its end.
    The one before stays until the next, in case the disk damages the newest. To stand behind the callbacks with a state.
    """

    def __init__(self, file: Path, *, every: int) -> None:
        self._file = file
        self._every = every
        self._signal = 0  # that came, if one did
        self._handlers: dict[int, Any] = {}  # of before the training

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let signals wait for the end of a step."""
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            # Of several processes not all may hear it at the same step, and to other threads no signals come.
            self._handlers = {number: signal.signal(number, self._asked) for number in SIGNALS}

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Adaptation, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Save when it is due or a signal came: between steps, and not between the batches of one.

        Raises:
            KeyboardInterrupt, SystemExit: for the signal.
            ModelError: when a weight is not a number any more.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        due = trainer.global_step % self._every == 0 or self._signal
        if due and trainer.global_step < trainer.max_steps:
            refuse_broken(pl_module.weights(), step=trainer.global_step, checkpoint=self._file)
            self._save(trainer)
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal:
            raise SystemExit(128 + self._signal)  # as a shell has it

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Write down whose it is."""
        checkpoint["of"] = self._file.stem

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Let signals do what they did before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Let signals do what they did before."""
        self.on_train_end(trainer, pl_module)

    def _asked(self, number: int, _frame: Any) -> None:
        self._signal = number
        for each, handler in self._handlers.items():
            signal.signal(each, handler)  # a second one does not wait

    def _save(self, trainer: lightning.Trainer) -> None:
        """One file at a time under a temporary name, and the last good one stays until it is whole.

        Raises:
            DarkroomError: when the disk is full.
        """
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        try:
            trainer.save_checkpoint(temporary)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            if not machine.disk_is_full(error):
                raise
            raise DarkroomError(
                f"{self._file}: the disk is full at step {trainer.global_step}; free some space, and `dvc repro` goes on "
                f"from the last checkpoint"
            ) from None
        if trainer.is_global_zero:  # all save together, and the first writes
            if self._file.is_file():
                self._file.replace(before(self._file))
            temporary.replace(self._file)


class Snapshots(lightning.Callback):
    """The adapter as it would be kept, every ``every`` steps, as ``folder/STEP.safetensors``."""

    def __init__(self, save: Callable[[Path], None], folder: Path, *, every: int) -> None:
        self._save = save
        self._folder = folder
        self._every = every

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Adaptation, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Write one when it is due."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or trainer.global_step % self._every:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with pl_module.kept():
            self._save(self._folder / f"{trainer.global_step:08d}.safetensors")
