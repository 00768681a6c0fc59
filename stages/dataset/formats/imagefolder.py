"""Hugging Face ImageFolder: a folder for each split, ``metadata.jsonl`` in it, and a Croissant description of both.

``datasets.load_dataset("imagefolder", data_dir=…)`` reads it, ``mlcroissant.Dataset("…/croissant.json")`` too.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from stages.dataset import croissant
from stages.dataset.entries import Entry
from stages.dataset.formats import Pixels
from stages.tables import replace

SPLITS = {"train": "train/**", "test": "test/**"}


def write(folder: Path, entries: Sequence[Entry], pixels: Pixels) -> None:
    """A file for each picture, a line of ``metadata.jsonl`` for it, and ``croissant.json`` over all."""
    for split in SPLITS:
        chosen = [entry for entry in entries if entry.split == split]
        if not chosen:
            continue
        for entry in chosen:
            replace(folder / split / entry.file, pixels(entry))
        lines = (
            json.dumps({"file_name": entry.file, "text": entry.text} | entry.facts(), ensure_ascii=False)
            for entry in chosen
        )
        replace(folder / split / "metadata.jsonl", "".join(f"{line}\n" for line in lines).encode())
    replace(folder / "croissant.json", croissant.written(folder, entries).encode())
