"""The folders of kohya's sd-scripts: ``REPEATS_NAME`` with ``.txt`` captions; ``reg`` holds what must not be lost.

Held-out pictures lie in ``heldout``, which no training reads. Use ``--train_data_dir DIR/img --reg_data_dir DIR/reg
--caption_extension .txt``.
"""

from collections.abc import Sequence
from pathlib import Path

from stages.dataset.entries import Entry
from stages.dataset.formats import Pixels
from stages.tables import replace

SPLITS: dict[str, str] = {}
FOLDERS = {"subject": Path("img/1_subject"), "prior": Path("reg/1_prior")}


def write(folder: Path, entries: Sequence[Entry], pixels: Pixels) -> None:
    """A picture and a caption for each entry; every picture counts once an epoch."""
    for entry in entries:
        below = folder / (FOLDERS[entry.role] if entry.split == "train" else Path("heldout"))
        replace(below / entry.file, pixels(entry))
        replace((below / entry.file).with_suffix(".txt"), f"{entry.text}\n".encode())
