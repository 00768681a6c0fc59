"""What must never enter: named by the digest of its bytes, or by the perceptual hash of what it shows.

An entry is ``sha256:`` (which may be left out) or ``pdq:`` and 64 hexadecimal digits. A digest blocks one file; a
perceptual hash also blocks what was cut, compressed, mirrored or turned since.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages import hashes, neighbours
from stages.errors import ConfigError
from stages.records import Frame, Quality

FILE = "blocklist.txt"  # in data/own: one entry a line; what follows # is a remark
_ENTRY = re.compile(r"(sha256:|pdq:|)([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocklist:
    """Digests and perceptual hashes, as 64 hexadecimal digits each."""

    digests: frozenset[str]
    hashes: tuple[str, ...]


def read(own: Path, configured: Sequence[str]) -> Blocklist:
    """The entries of the configuration and of the file in ``own``, if there is one.

    Raises:
        ConfigError: naming the first entry that is none, and where it stands.
    """
    placed = [(f"clean.blocklist[{number}]", entry) for number, entry in enumerate(configured)]
    file = own / FILE
    if file.is_file():
        lines = enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        placed += [(f"{file}:{number}", text) for number, line in lines if (text := line.split("#")[0].strip())]
    return _parsed(placed)


def _parsed(placed: Iterable[tuple[str, str]]) -> Blocklist:
    digests, perceptual = set[str](), set[str]()
    for where, entry in placed:
        match = _ENTRY.fullmatch(entry.lower())
        if match is None:
            raise ConfigError(f"{where}: {entry!r} is no entry; write sha256: or pdq: and 64 hexadecimal digits")
        (perceptual if match[1] == "pdq:" else digests).add(match[2])
    return Blocklist(digests=frozenset(digests), hashes=tuple(sorted(perceptual)))


def blocked(frames: Sequence[Frame], measured: Sequence[Quality], listed: Blocklist, *, distance: int) -> set[str]:
    """The ids of ``frames`` that are ``listed``: themselves, their items, or what they show.

    ``distance`` is in bits of the perceptual hash, of the listed picture or any mirrored or turned form of it.
    """
    named = {frame.id for frame in frames if {frame.id, frame.item} & listed.digests}
    known, words = hashes.words(listed.hashes), hashes.words([each.hash for each in measured])
    near = neighbours.near_any(words, known, distance, looks=hashes.looks(known, "turned"))
    return named | {measured[row].id for row in np.flatnonzero(near).tolist()}
