"""Write the prepared data set in a format that other tools read: ``python -m stages.dataset FORMAT --out FOLDER``.

It reads what the stages crawl, frames, clean, anonymise and prepare left, and changes nothing of it. Every format comes
with ``README.md``, a card that names policy, licences and authors. Pictures that a policy chose for no publication are
written only on the word that they stay in the house, and without it nobody is shown whose consent does not cover that.
"""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from stages import plugins, tables, terminal
from stages.cards import counted
from stages.dataset import card, entries
from stages.dataset.formats import Format
from stages.errors import DarkroomError, TableError
from stages.records import Consent, Ruling
from stages.tables import replace

log = logging.getLogger("stages")
FORMATS = "stages.dataset.formats"
STORES = ("crawl", "frames", "clean", "anonymise", "prepare")


def main(arguments: Sequence[str]) -> int:
    """Write one data set; 1 when the user has something to put right."""
    terminal.log_lines()
    parser = argparse.ArgumentParser(prog="python -m stages.dataset", description=__doc__)
    parser.add_argument("format", choices=plugins.names(FORMATS))
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet, or empty")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the stages' folders lie")
    parser.add_argument(
        "--pixels", choices=("prepared", "whole"), default="prepared", help="cropped to buckets, or not"
    )
    parser.add_argument("--in-house", action="store_true", help="needed where the policy lets nobody publish")
    parser.add_argument("--variants", action="store_true", help="augmented pictures, too")
    given = parser.parse_args(arguments)
    try:
        count = _written(given)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    terminal.say(f"{count} in {given.out}\n{given.out / 'README.md'} says by which right")
    return 0


def _written(given: argparse.Namespace) -> str:
    """The data set under a temporary name, then renamed: ``out`` is whole or not there."""
    if given.out.exists() and (not given.out.is_dir() or any(given.out.iterdir())):
        raise TableError(f"{given.out}: holds something already; give --out a new folder, or empty that one")
    if given.pixels == "whole" and given.variants:
        raise TableError("--variants: augmented pictures are cropped ones; leave out --pixels whole")
    stores = entries.Stores(**{name: given.data / name for name in STORES})
    (ruling,) = tables.read(stores.clean, Ruling)
    if not ruling.publish and not given.in_house:
        raise TableError(
            f"{stores.clean}: the policy {ruling.policy} chose these pictures for no publication; "
            "give --in-house where the copy stays in the house, or choose them by another policy"
        )
    records, chosen = tables.read(stores.crawl, Consent), entries.read(stores, variants=given.variants)
    if not given.in_house:
        chosen = _shown(chosen, records, ruling)
    pixels = entries.whole(stores) if given.pixels == "whole" else entries.prepared(stores)
    way: Format = import_module(f"{FORMATS}.{given.format}")
    temporary = given.out.with_name(f".{given.out.name}.{os.getpid()}.tmp")
    try:
        way.write(temporary, chosen, pixels)
        grounds = card.Grounds(ruling=ruling, records=records)
        replace(temporary / "README.md", card.written(chosen, way.SPLITS, grounds).encode())
        temporary.replace(given.out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counted(len(chosen), "picture")


def _shown(chosen: list[entries.Entry], records: Sequence[Consent], ruling: Ruling) -> list[entries.Entry]:
    """What may be passed on of ``chosen``, with a word on what is left out."""
    kept = entries.shown(chosen, records, ruling)
    if len(kept) < len(chosen):
        left = counted(len(chosen) - len(kept), "picture")
        log.info("%s left out: the people in them did not agree to be shown; see scope in data/own/consent.yaml", left)
    if not kept:
        raise TableError("the people in all pictures agreed to no showing; give --in-house where the copy stays there")
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
