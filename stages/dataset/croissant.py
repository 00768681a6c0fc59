"""A Croissant 1.1 description (MLCommons, docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) of an ImageFolder.

Every split is a record set: its fields are the columns of ``metadata.jsonl``, and ``image`` is the file that
``file_name`` names. The licence and the attribution of each picture are fields of its record.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages import licences
from stages.dataset import card
from stages.dataset.entries import Entry

VERSION = "http://mlcommons.org/croissant/1.1"
# The terms of the vocabulary, as the specification's appendix prints them.
_TERMS = (
    "citeAs column conformsTo equivalentProperty extract field fileProperty fileObject fileSet format includes "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


def written(folder: Path, entries: Sequence[Entry]) -> str:
    """The description of the ImageFolder that lies in ``folder`` and holds ``entries``, as JSON-LD."""
    splits = [split for split in ("train", "test") if any(entry.split == split for entry in entries)]
    columns = ["text", *entries[0].facts()]
    numbers = {name for name, value in entries[0].facts().items() if isinstance(value, int)}
    description = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": card.NAME,
        "description": card.summary(entries),
        "license": [
            licences.page(name) or licences.label(name) for name in sorted({entry.licence for entry in entries})
        ],
        "version": _version(folder, splits),
        "rai:dataCollection": "Crawled with the licence and the opt-out signals of every picture recorded; chosen under the "
        f"policy {entries[0].policy} (SHA-256 {entries[0].policy_sha256}).",
        "rai:dataUseCases": f"The declared use is {entries[0].use}.",
        "rai:personalSensitiveInformation": card.people(entries),
        "distribution": [each for split in splits for each in _files(folder, split)],
        "recordSet": [_records(split, columns, numbers) for split in splits],
    }
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def _version(folder: Path, splits: Sequence[str]) -> str:
    """A version that changes with the records: 1.0.0 and the head of their digest, as semantic versioning allows."""
    content = b"".join((folder / split / "metadata.jsonl").read_bytes() for split in splits)
    return f"1.0.0+{hashlib.sha256(content).hexdigest()[:12]}"


def _files(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    name = f"{split}/metadata.jsonl"
    yield {
        "@type": "cr:FileObject",
        "@id": f"{split}-metadata",
        "name": f"{split}-metadata",
        "contentUrl": name,
        "encodingFormat": "application/jsonlines",
        "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
    }
    yield {
        "@type": "cr:FileSet",
        "@id": f"{split}-images",
        "name": f"{split}-images",
        "encodingFormat": "image/png",
        "includes": f"{split}/*.png",
    }


def _records(split: str, columns: Sequence[str], numbers: set[str]) -> dict[str, Any]:
    images = {"fileSet": {"@id": f"{split}-images"}}
    fields = [_field(split, name, "sc:Integer" if name in numbers else "sc:Text") for name in columns]
    key = _field(split, "file_name", "sc:Text")
    key["references"] = images | {"extract": {"fileProperty": "filename"}}
    image = _field(split, "image", "sc:ImageObject") | {"source": images | {"extract": {"fileProperty": "content"}}}
    return {"@type": "cr:RecordSet", "@id": split, "name": split, "field": [key, *fields, image]}


def _field(split: str, name: str, kind: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": f"{split}-metadata"}, "extract": {"column": name}}
    return {"@type": "cr:Field", "@id": f"{split}/{name}", "name": name, "dataType": kind, "source": source}
