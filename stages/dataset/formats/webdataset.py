"""WebDataset: tar shards for each split with a ``.png``, a ``.txt`` and a ``.json`` for each key.

``webdataset.WebDataset("DIR/train-{000000..000003}.tar")`` and ``datasets.load_dataset("webdataset", …)`` read it.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.dataset.entries import Entry
from stages.dataset.formats import Pixels

SPLITS = {"train": "train-*.tar", "test": "test-*.tar"}
MOST = 1000  # pictures in a shard


def write(folder: Path, entries: Sequence[Entry], pixels: Pixels) -> None:
    """Shards of up to ``MOST`` pictures in the order of their ids."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        chosen = [entry for entry in entries if entry.split == split]
        for number, start in enumerate(range(0, len(chosen), MOST)):
            with tarfile.open(folder / f"{split}-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
                for entry in chosen[start : start + MOST]:
                    for suffix, content in _files(entry, pixels):
                        header = tarfile.TarInfo(f"{entry.id}.{suffix}")  # uid, gid and mtime are 0
                        header.size = len(content)
                        archive.addfile(header, io.BytesIO(content))


def _files(entry: Entry, pixels: Pixels) -> Iterator[tuple[str, bytes]]:
    yield "json", json.dumps(entry.facts(), ensure_ascii=False).encode()
    yield "png", pixels(entry)
    yield "txt", entry.text.encode()
