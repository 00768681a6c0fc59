"""What one round leaves for the next: requests, weights, and what is held out for ever, in the folder of one's own.

DVC's graph has no circle, so ``python -m stages.iterate`` carries these tables from where a round left them to ``next``
in ``data/own``, where crawl and prepare find them.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from stages import tables
from stages.records import Heldout, Request, Sample, Weight
from stages.tables import Keyed

FOLDER = "next"

Row = TypeVar("Row", bound=Keyed)


def requests(own: Path) -> list[Request]:
    """What the round before asks for; nothing where there was none."""
    return _read(own, Request)


def weights(own: Path) -> dict[str, float]:
    """How often to draw each frame, by its id; nothing where the round before had nothing to say."""
    return {each.id: each.weight for each in _read(own, Weight)}


def heldout(own: Path) -> frozenset[str]:
    """The ids of all frames that were ever held out."""
    return frozenset(each.id for each in _read(own, Heldout))


def hand_over(own: Path, *, feedback: Path, prepared: Path) -> tuple[int, int]:
    """Put what the round left into ``own``; gives how many requests there are, and how many frames are held out by now.

    Weights replace those of the round before. A request adds its count to what was asked for before, since the next crawl
    has to bring that again; to what is held out frames are only ever added.
    """
    weighed = tables.read(feedback, Weight)
    asked = merged(requests(own), tables.read(feedback, Request))
    now = {each.frame for each in tables.rows(prepared, Sample) if each.split == "heldout"}
    held = heldout(own) | now
    tables.write(own / FOLDER, Request, asked)
    tables.write(own / FOLDER, Weight, weighed)
    tables.write(own / FOLDER, Heldout, [Heldout(id=id) for id in held])
    return len(asked), len(held)


def merged(before: Iterable[Request], now: Iterable[Request]) -> list[Request]:
    """The requests of both, one for each id, with the words of the first and the counts of both."""
    total = {each.id: each for each in before}
    for each in now:
        known = total.get(each.id)
        total[each.id] = each if known is None else replace(known, count=known.count + each.count)
    return list(total.values())


def _read(own: Path, row: type[Row]) -> list[Row]:
    return tables.read(own / FOLDER, row) if tables.path(own / FOLDER, row).is_file() else []
