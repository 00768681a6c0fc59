"""Captions written by hand, which win over every captioner: ``captions.yaml`` in the user's folder, and sidecars.

    "3f2a…": a red fox on snow               the SHA-256 of a picture, or the id of a frame
    "file:cat.jpg": a cat on a wall          an address
    "file:portraits/*": a portrait, studio   a pattern of addresses; the last one that fits wins

What is more exact wins: an id, then an address, a pattern, and ``cat.txt`` beside ``cat.jpg``. An empty text is a
caption, too: no words.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import yaml

from stages.errors import SourceError
from stages.records import Frame, Item

FILE = "captions.yaml"


@dataclass(frozen=True)
class Written:
    """What somebody wrote, by id, address or pattern."""

    texts: dict[str, str]

    @cached_property
    def _patterns(self) -> list[tuple[str, str]]:
        """The patterns, the last first: thousands of plain addresses must not be tried on every frame."""
        return [(name, text) for name, text in reversed(self.texts.items()) if set("*?[") & set(name)]

    def about(self, item: Item, frame: Frame) -> str | None:
        """What was written about ``frame`` of ``item``; ``None`` when nothing was."""
        for name in (frame.id, item.id, item.url):
            if name in self.texts:
                return self.texts[name]
        return next((text for pattern, text in self._patterns if fnmatchcase(item.url, pattern)), _sidecar(item))


def read(own: Path) -> Written:
    """What ``captions.yaml`` in ``own`` says; nothing when there is no such file.

    Raises:
        SourceError: when the file is not YAML that maps names to texts.
    """
    file = own / FILE
    try:
        found = yaml.safe_load(file.read_bytes()) if file.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f"{file}: is not YAML; {' '.join(str(error).split())}") from None
    found = {} if found is None else found
    if not isinstance(found, dict) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise SourceError(f'{file}: each line maps an address, a pattern or an id to a text, as "file:cat.jpg": a cat')
    return Written(found)


def _sidecar(item: Item) -> str | None:
    """The text beside a file: what no page shows can have no alternative text."""
    return item.alt if item.alt and not item.page else None
