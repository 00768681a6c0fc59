"""Captions written by hand, which win over every captioner: ``captions.yaml`` in the user's folder, and sidecars.

    "3f2a…": a red fox on snow               the SHA-256 of a picture, or the id of a frame
    "file:portraits/*": a portrait, studio   a pattern of addresses; the last one that fits wins

An id wins over a pattern, and both over ``cat.txt`` beside ``cat.jpg``. An empty text is a caption, too: no words.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from stages.errors import SourceError
from stages.records import Frame, Item

FILE = "captions.yaml"


def read(own: Path) -> dict[str, str]:
    """The texts of ``captions.yaml`` by id or pattern, in their order; none when there is no such file.

    Raises:
        SourceError: when the file is not YAML that maps names to texts.
    """
    file = own / FILE
    if not file.is_file():
        return {}
    try:
        found = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{file}: is not YAML; {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise SourceError(f'{file}: each line maps an address, a pattern or an id to a text, as "file:cat.jpg": a cat')
    return found


def written(texts: Mapping[str, str], item: Item, frame: Frame) -> str | None:
    """What somebody wrote about ``frame`` of ``item``; ``None`` when nobody did."""
    for id in (frame.id, item.id):
        if id in texts:
            return texts[id]
    fitting = [text for pattern, text in texts.items() if fnmatchcase(item.url, pattern)]
    return fitting[-1] if fitting else _sidecar(item)


def _sidecar(item: Item) -> str | None:
    """The text beside a file: what no page shows can have no alternative text."""
    return item.alt if item.alt and not item.page else None
