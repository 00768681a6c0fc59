"""``python -m stages.look data/STAGE [--out FOLDER]``: a stage's pictures for eyes, as files and contact sheets.

It reads any table whose rows own pictures (``place``) and changes nothing. Of ``data/clean`` it shows one sheet for
each reason and one of what was kept, from the pixels in ``data/frames`` and ``data/crawl`` beside it.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from stages import shards, tables, terminal
from stages.cards import counted
from stages.errors import DarkroomError, ImageError, TableError
from stages.images import Pixels, decode, encode_png
from stages.records import Frame, Generation, Item, Redaction, Sample, Verdict

log = logging.getLogger(__name__)

Owner = Item | Frame | Redaction | Sample | Generation
TABLES: tuple[type[Owner], ...] = (Item, Frame, Redaction, Sample, Generation)
CELL = 128  # pixels of a picture on the sheet
LABEL = 14  # pixels of the line below it
ACROSS = 12  # pictures in a row
STAND_INS = ("twin", "lookalike")  # reasons that name the picture that stays; others name a refused one
MOST = 240  # pictures of one reason on its sheet
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.38


def pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each picture that ``folder`` owns, by the first table that it has.

    Raises:
        TableError: when it has none of the tables that own pictures.
    """
    table = next((each for each in TABLES if tables.path(folder, each).is_file()), None)
    if table is None:
        raise TableError(
            f"{folder}: holds no pictures; look at data/crawl, frames, clean, anonymise, prepare or generate"
        )
    for row in tables.read(folder, table):
        if isinstance(row, Frame) and row.store != "frames":
            continue  # its bytes are crawl's
        name = f"{row.arm}-{row.seed}-{row.id[:8]}" if isinstance(row, Generation) else row.id
        yield name, shards.read(folder, row.place)


def judged(folder: Path) -> dict[str, Iterator[tuple[str, bytes]]]:
    """By reason (``kept`` for those that stay) label and bytes of each frame that ``folder`` has a verdict on.

    A twin follows the one that stays in its stead, or whose refusal it shares. Of each reason only the first ``MOST`` are
    read, each when it is asked for.
    """
    frames = tables.by_id(folder.parent / "frames", Frame)
    by_reason: dict[str, list[Verdict]] = {}
    for verdict in tables.read(folder, Verdict):
        by_reason.setdefault(verdict.reason or "kept", []).append(verdict)
    return {reason: _read(folder.parent, frames, _shown(verdicts)) for reason, verdicts in sorted(by_reason.items())}


def _read(data: Path, frames: Mapping[str, Frame], shown: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    for id, label in shown:
        yield label, shards.read(data / frames[id].store, frames[id].place)


def _shown(verdicts: Iterable[Verdict]) -> list[tuple[str, str]]:
    """Id and label of what a sheet of ``verdicts`` shows: each group of twins after its best."""
    shown: list[tuple[str, str]] = []
    best = ""
    for verdict in sorted(verdicts, key=lambda each: (each.twin, each.id)):
        if verdict.twin != best:
            best = verdict.twin
            shown.append((best, f"{best[:8]} {'stays' if verdict.reason in STAND_INS else 'refused'}"))
        shown.append((verdict.id, f"{verdict.id[:8]} twin" if best else verdict.id[:8]))
    return shown[:MOST]


def sheet(images: Sequence[Pixels], labels: Sequence[str] = ()) -> Pixels:
    """All ``images`` small, side by side in rows, on white, with a line below each where there are ``labels``: uint8[H, W, 3]."""
    across, down = min(ACROSS, len(images)), -(-len(images) // ACROSS)
    wide, high = CELL + 4, CELL + 4 + (LABEL if labels else 0)
    page = np.full((down * high, across * wide, 3), 255, dtype=np.uint8)
    for number, image in enumerate(images):
        small = _small(image)
        top, left = number // ACROSS * high, number % ACROSS * wide
        page[top : top + small.shape[0], left : left + small.shape[1]] = small
        if labels:
            cv2.putText(page, labels[number], (left, top + CELL + LABEL - 3), FONT, SIZE, (0, 0, 0), 1, cv2.LINE_AA)
    return page


def _small(image: Pixels) -> Pixels:
    """``image`` in the size that it has on a sheet."""
    height, width = (max(1, round(side * CELL / max(image.shape[:2]))) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def main(arguments: Sequence[str]) -> int:
    """Write the files and the sheets; 1 when there is nothing to look at."""
    terminal.log_lines()
    parser = argparse.ArgumentParser(prog="python -m stages.look", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("outputs/look"))
    given = parser.parse_args(arguments)
    try:
        if tables.path(given.folder, Verdict).is_file():
            _write_sheets(judged(given.folder), given.out)
            return 0
        shown = _written(given.folder, given.out)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    terminal.say(f"{counted(shown, 'picture')} in {given.out}, all on {given.out / 'sheet.png'}")
    return 0


def _write_sheets(by_reason: Mapping[str, Iterable[tuple[str, bytes]]], out: Path) -> None:
    """One sheet for each reason; what cannot be decoded is an empty place with its label."""
    for reason, those in by_reason.items():
        file = out / f"sheet-{reason.replace(' ', '-')}.png"
        cells = [(label, _decoded(label, content)) for label, content in those]
        tables.replace(file, encode_png(sheet([small for _, small in cells], [label for label, _ in cells])))
        terminal.say(f"{reason}: {len(cells)} on {file}")


def _decoded(label: str, content: bytes) -> Pixels:
    try:
        return _small(decode(content))
    except ImageError as error:
        log.warning("%s: %s", label, error)
        return np.full((CELL, CELL, 3), 255, dtype=np.uint8)


def _written(folder: Path, out: Path) -> int:
    images = []
    for name, content in pictures(folder):
        try:
            pixels = decode(content)
        except ImageError as error:
            log.warning("%s: %s", name, error)
            continue
        images.append(_small(pixels))
        tables.replace(out / f"{name}.png", encode_png(pixels))
    if not images:
        raise TableError(f"{folder}: has no picture that can be decoded")
    tables.replace(out / "sheet.png", encode_png(sheet(images)))
    return len(images)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
