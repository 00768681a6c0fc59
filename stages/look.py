"""``python -m stages.look data/STAGE [--out FOLDER]``: a stage's pictures for eyes, as files and one contact sheet.

It reads any table whose rows own pictures (``place``) and changes nothing.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from stages import shards, tables
from stages.errors import DarkroomError, ImageError, TableError
from stages.images import Pixels, decode, encode_png
from stages.records import Frame, Generation, Item, Redaction, Sample

log = logging.getLogger(__name__)

Owner = Item | Frame | Redaction | Sample | Generation
TABLES: tuple[type[Owner], ...] = (Item, Frame, Redaction, Sample, Generation)
CELL = 128  # pixels of a picture on the sheet
ACROSS = 12  # pictures in a row


def pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each picture that ``folder`` owns, by the first table that it has.

    Raises:
        TableError: when it has none of the tables that own pictures.
    """
    table = next((each for each in TABLES if tables.path(folder, each).is_file()), None)
    if table is None:
        raise TableError(f"{folder}: holds no pictures; look at data/crawl, frames, anonymise, prepare or generate")
    for row in tables.read(folder, table):
        if isinstance(row, Frame) and row.store != "frames":
            continue  # its bytes are crawl's
        name = f"{row.arm}-{row.seed}-{row.id[:8]}" if isinstance(row, Generation) else row.id
        yield name, shards.read(folder, row.place)


def sheet(images: Sequence[Pixels]) -> Pixels:
    """All ``images`` small, side by side in rows, on white: uint8[H, W, 3]."""
    across, down = min(ACROSS, len(images)), -(-len(images) // ACROSS)
    page = np.full((down * (CELL + 4), across * (CELL + 4), 3), 255, dtype=np.uint8)
    for number, image in enumerate(images):
        height, width = (max(1, round(side * CELL / max(image.shape[:2]))) for side in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        top, left = number // ACROSS * (CELL + 4), number % ACROSS * (CELL + 4)
        page[top : top + small.shape[0], left : left + small.shape[1]] = small
    return page


def main(arguments: Sequence[str]) -> int:
    """Write the files and the sheet; 1 when there is nothing to look at."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m stages.look", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/look"))
    given = parser.parse_args(arguments)
    try:
        shown = _written(given.folder, given.out)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    log.info("%d pictures in %s, all of them on %s", shown, given.out, given.out / "sheet.png")
    return 0


def _written(folder: Path, out: Path) -> int:
    images = []
    for name, content in pictures(folder):
        try:
            images.append(decode(content))
        except ImageError as error:
            log.info("%s: %s", name, error)
            continue
        tables.replace(out / f"{name}.png", encode_png(images[-1]))
    if not images:
        raise TableError(f"{folder}: has no picture that can be decoded")
    tables.replace(out / "sheet.png", encode_png(sheet(images)))
    return len(images)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
