"""Where a base model comes from: one file each."""

from pathlib import Path
from typing import Protocol

from stages.errors import ModelError
from stages.records import Report


class Origin(Protocol):
    """Puts a diffusers folder into ``out`` and reports numbers about it."""

    def __call__(self, shipped: Path, out: Path, /, *, train: bool) -> Report:
        """``shipped`` is the folder of models that came with the repository.

        Raises:
            ModelError: when the model cannot be had, with the way to get it.
        """
        ...


def refuse_training(train: bool) -> None:
    """Say that an origin cannot train its model, when it is asked to.

    Raises:
        ModelError: when ``train`` is true.
    """
    if train:
        raise ModelError("base.train: only the tiny family is trained here; set it to false")


def size(folder: Path) -> int:
    """Bytes of all files below ``folder``."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
