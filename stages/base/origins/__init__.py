"""Where a base model comes from: one file each."""

from pathlib import Path
from typing import Protocol

from stages.records import Report


class Origin(Protocol):
    """Puts a diffusers folder into ``out`` and reports numbers about it."""

    def __call__(self, shipped: Path, out: Path, /, *, train: bool) -> Report:
        """``shipped`` is the folder of models that came with the repository.

        Raises:
            ModelError: when the model cannot be had, with the way to get it.
        """
        ...
