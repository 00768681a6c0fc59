"""Parquet, a file for each split, pictures inside: what the Hugging Face hub shows and pandas reads.

The column ``image`` is a struct of ``bytes`` and ``path``, and the schema says so in the words of ``datasets``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.dataset.entries import Entry
from stages.dataset.formats import Pixels

SPLITS = {"train": "train.parquet", "test": "test.parquet"}
GROUP = 100  # pictures of a row group: what a reader must hold at once


def write(folder: Path, entries: Sequence[Entry], pixels: Pixels) -> None:
    """One file for each split that has pictures."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    folder.mkdir(parents=True, exist_ok=True)
    for split, name in SPLITS.items():
        chosen = [entry for entry in entries if entry.split == split]
        if not chosen:
            continue
        schema = _schema(chosen[0])
        with ParquetWriter(folder / name, schema) as file:
            for start in range(0, len(chosen), GROUP):
                rows = [_row(entry, pixels(entry)) for entry in chosen[start : start + GROUP]]
                file.write_table(pa.Table.from_pylist(rows, schema=schema))


def _row(entry: Entry, png: bytes) -> dict[str, Any]:
    return {"image": {"bytes": png, "path": entry.file}, "text": entry.text} | entry.facts()


def _schema(entry: Entry) -> Any:
    """The columns, and what ``datasets`` wants to know of them under its own key."""
    import pyarrow as pa

    kinds = {"text": pa.string()}
    kinds |= {name: pa.int64() if isinstance(value, int) else pa.string() for name, value in entry.facts().items()}
    features = {"image": {"_type": "Image"}}
    features |= {name: {"dtype": str(kind), "_type": "Value"} for name, kind in kinds.items()}
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", picture), *kinds.items()]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
