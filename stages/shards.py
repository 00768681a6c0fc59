"""Bytes by name in deterministic tar files, which WebDataset and Ray read too.

DVC pays per file: ten shards cost a twentieth of 50,000 small files. The shard of an item is the head of its id, so
that one new picture changes one shard; every member has the same owner, mode and time, so that the same items give
the same bytes. A row of a table says where its bytes lie: shard, offset and size.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from stages.errors import TableError
from stages.tables import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the bytes of one item lie below a stage's folder."""

    shard: str  # the name of the tar file
    offset: int  # bytes from the start of the tar file to the content
    size: int  # bytes


class Writer(AbstractContextManager["Writer"]):
    """Takes files one by one and packs them into shards of ``folder`` when it is left; ``places`` then says where each lies.

    ``digits`` leading characters of a name choose its shard: 1 makes 16 shards of hexadecimal names, 2 makes 256. Until
    then the contents wait in a nameless file of that folder, so memory holds one of them and never all. When an error
    ends the block, nothing is packed.
    """

    def __init__(self, folder: Path, *, digits: int) -> None:
        self.places: dict[str, Place] = {}
        self._folder, self._digits = folder, digits
        self._waiting: dict[str, tuple[int, int]] = {}  # where a name's content waits, and its size

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def add(self, name: str, content: bytes) -> None:
        """Put ``content`` under ``name``, in place of what had the name before."""
        self._waiting[name] = (self._spool.tell(), len(content))
        self._spool.write(content)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._spool:
            if error is not None:
                return
            for head, names in groupby(sorted(self._waiting), key=lambda name: name[: self._digits]):
                self.places |= _pack(self._folder / f"shard-{head}.tar", ((name, self._taken(name)) for name in names))

    def _taken(self, name: str) -> bytes:
        offset, size = self._waiting[name]
        self._spool.seek(offset)
        return self._spool.read(size)


def write(folder: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], *, digits: int) -> dict[str, Place]:
    """Put ``files`` (name to content) into shards of ``folder``, as ``Writer`` does, and say where each lies."""
    with Writer(folder, digits=digits) as writer:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            writer.add(name, content)
    return writer.places


def read(folder: Path, place: Place) -> bytes:
    """The bytes at ``place`` below ``folder``.

    Raises:
        TableError: when the shard is missing or shorter than the row says.
    """
    file = folder / place.shard
    if not file.is_file():
        raise TableError(f"{file}: there is no such shard; `dvc repro` or `dvc checkout` brings it back")
    with file.open("rb") as stream:
        stream.seek(place.offset)
        content = stream.read(place.size)
    if len(content) != place.size:
        raise TableError(f"{file}: ends before byte {place.offset + place.size}; remove the folder and `dvc repro`")
    return content


def _pack(shard: Path, members: Iterator[tuple[str, bytes]]) -> dict[str, Place]:
    """Make the tar file ``shard`` of ``members``, and say where each lies in it."""
    places: dict[str, Place] = {}
    with replacing(shard) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)  # uid, gid and mtime are 0, the mode is 0644
            header.size = len(content)
            places[name] = Place(shard=shard.name, offset=archive.offset + tarfile.BLOCKSIZE, size=len(content))
            archive.addfile(header, io.BytesIO(content))
    return places
