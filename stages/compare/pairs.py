"""Pictures and what each is compared with: two files, two folders with files of the same names, or two videos."""

import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from stages.errors import ImageError
from stages.evaluate import fidelity
from stages.frames import decoding
from stages.images import Pixels, decode

WHOLE = decoding.Limits(max_seconds=float("inf"), max_frames=sys.maxsize)


class Pair(NamedTuple):
    """Two pictures of one size."""

    name: str  # of the file without its suffix, or the frame's number from 0
    reference: Pixels
    other: Pixels


def pairs(reference: Path, other: Path) -> Iterator[Pair]:
    """The pairs of two files or folders, in order of their names, each decoded when it is asked for.

    Raises:
        ImageError: when one side has what the other lacks, a file cannot be decoded, or two pictures have different or
            too small sizes.
    """
    found = _of_folders(reference, other) if reference.is_dir() and other.is_dir() else _of_files(reference, other)
    for pair in found:
        _refuse_sizes(pair)
        yield pair


def is_video(file: Path) -> bool:
    """Whether ``file`` is there and no picture."""
    if not file.is_file():
        return False
    try:
        decode(file.read_bytes())
    except ImageError:
        return True
    return False


def _of_folders(reference: Path, other: Path) -> Iterator[Pair]:
    here, there = _by_name(reference), _by_name(other)
    if lone := sorted(set(here) ^ set(there)):
        has, lacks = (reference, other) if lone[0] in here else (other, reference)
        raise ImageError(f"{lacks}: has no {lone[0]}, which {has} has; names without suffix must be the same")
    if not here:
        raise ImageError(f"{reference}: is empty; give folders of pictures")
    for name in sorted(here):
        yield Pair(name, next(_frames(here[name])), next(_frames(there[name])))


def _by_name(folder: Path) -> dict[str, Path]:
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    named = {file.stem: file for file in files}
    if len(named) < len(files):
        twice = next(file for file in files if named[file.stem] != file)
        raise ImageError(
            f"{folder}: has {twice.name} and {named[twice.stem].name}; give each picture a name of its own"
        )
    return named


def _of_files(reference: Path, other: Path) -> Iterator[Pair]:
    for number, (one, two) in enumerate(zip_longest(_frames(reference), _frames(other))):
        if one is None or two is None:
            short = reference if one is None else other
            raise ImageError(f"{short}: ends after {number} frames, the other goes on; give videos of equal length")
        yield Pair(str(number), one, two)


def _frames(file: Path) -> Iterator[Pixels]:
    """The picture in ``file``, or each frame of its video."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ImageError(f"{file}: {error.strerror}; give two files or two folders") from None
    try:
        picture = decode(content)
    except ImageError as refused:
        try:
            for shown in decoding.frames(content, WHOLE):
                yield shown.pixels()
        except ImageError as error:
            raise ImageError(f"{file}: {refused}; {error}") from None
    else:
        yield picture


def _refuse_sizes(pair: Pair) -> None:
    one, two = ("{1} x {0}".format(*each.shape) for each in (pair.reference, pair.other))
    if one != two:
        raise ImageError(f"{pair.name}: {one} against {two} pixels; resize one of them: the way it is done counts")
    if min(pair.reference.shape[:2]) < fidelity.WINDOW:
        raise ImageError(f"{pair.name}: {one} pixels; SSIM needs {fidelity.WINDOW} on each side")
