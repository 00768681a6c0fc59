"""Bytes by name in deterministic tar files, which WebDataset and Ray read too.

DVC pays per file: ten shards cost a twentieth of 50,000 small files. The shard of an item is the head of its id, so
that one new picture changes one shard; every member has the same owner, mode and time, so that the same items give
the same bytes. A row of a table says where its bytes lie: shard, offset and size.
"""

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import TableError
from stages.tables import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the bytes of one item lie below a stage's folder."""

    shard: str  # the name of the tar file
    offset: int  # bytes from the start of the tar file to the content
    size: int  # bytes


def write(folder: Path, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], *, digits: int) -> dict[str, Place]:
    """Put ``files`` (name to content) into shards of ``folder`` and say where each lies.

    ``digits`` leading characters of a name choose its shard: 1 makes 16 shards of hexadecimal names, 2 makes 256.
    """
    shards: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in sorted(dict(files).items()):
        shards.setdefault(name[:digits], []).append((name, content))
    places: dict[str, Place] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for head, members in shards.items():
        shard = f"shard-{head}.tar"
        archive, offsets = _pack(members)
        replace(folder / shard, archive)
        places |= {name: Place(shard=shard, offset=offsets[name], size=len(content)) for name, content in members}
    return places


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


def _pack(members: Iterable[tuple[str, bytes]]) -> tuple[bytes, dict[str, int]]:
    """A tar file of ``members`` and the offset of each one's content in it."""
    buffer, offsets = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)  # uid, gid and mtime are 0, the mode is 0644
            header.size = len(content)
            offsets[name] = buffer.tell() + tarfile.BLOCKSIZE
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue(), offsets
