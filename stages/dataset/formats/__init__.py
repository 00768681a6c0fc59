"""Ways out: one file each, by the name of what reads it. Such a file holds ``SPLITS`` and ``write``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from stages.dataset.entries import Entry

Pixels = Callable[[Entry], bytes]  # the PNG file of one entry


class Format(Protocol):
    """What a file of this folder is."""

    SPLITS: dict[str, str]  # the files of each split as the Hugging Face card names them; empty where it cannot

    def write(self, folder: Path, entries: Sequence[Entry], pixels: Pixels) -> None:
        """Put ``entries`` into ``folder``, the same bytes for the same entries; one picture is in memory at a time."""
        ...
