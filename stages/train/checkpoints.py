"""What a training that was stopped goes on from."""

import os
from pathlib import Path
from typing import Any

import lightning


class Checkpoints(lightning.Callback):
    """A checkpoint every ``every`` steps, outside DVC's outputs, under a temporary name until it is whole."""

    def __init__(self, file: Path, *, every: int) -> None:
        self._file = file
        self._every = every

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Save when it is due."""
        if trainer.global_step % self._every == 0:
            temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
            trainer.save_checkpoint(temporary)  # all processes together; the first writes
            if trainer.is_global_zero:
                temporary.replace(self._file)
