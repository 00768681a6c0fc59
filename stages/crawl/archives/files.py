"""The files of a folder, a ZIP or a tar by their names, and what keeps a hostile archive harmless.

Content is read in memory, one file at a time; a packed tar is first unpacked into a nameless temporary file of the cache
folder. Limits are kept while unpacking. An archive inside an archive is not opened.
"""

import bz2
import gzip
import lzma
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Protocol

from stages import machine
from stages.crawl.archives import CHUNK, Broken, Entry, Limits, tars, zips
from stages.errors import SourceError

SLACK = 1024 * 1024  # bytes that may be unpacked whatever the ratio: small files and empty blocks pack well
MEMORY = 128 * 1024 * 1024  # bytes that an xz stream may ask for; what `xz -9` packs asks for 65 MiB
ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")  # control, no text, right to left
PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Files(Protocol):
    """Names to contents."""

    @property
    def names(self) -> frozenset[str]:
        """Of what can be read."""
        ...

    @property
    def faults(self) -> dict[str, str]:
        """Of what is there and cannot be brought: name to reason."""
        ...

    def read(self, name: str, *, limit: int) -> bytes:
        """The content of ``name``. Raises Broken, also when it is more than ``limit`` bytes."""
        ...


@contextmanager
def opened(place: Path, limits: Limits) -> Iterator[Files]:
    """The files of the folder, ZIP or tar at ``place``, while the block runs.

    Raises:
        SourceError: when it cannot be read as a whole, or breaks ``limits`` as a whole.
    """
    with ExitStack() as stack:
        try:
            files = _Folder(place) if place.is_dir() else _archive(stack.enter_context(place.open("rb")), limits, stack)
        except OSError as error:
            raise SourceError(f"{place}: cannot be read ({error.strerror or error})") from None
        except Broken as error:
            kinds = "a whole ZIP, .tar, .tar.gz, .tar.bz2 or .tar.xz"
            raise SourceError(f"{place}: {error}; give a folder, or {kinds}") from None
        yield files


class _Folder:
    """The files of a folder, by their names below it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        found = {path.relative_to(place).as_posix(): path for path in place.rglob("*")}
        faults = {name: fault for name, path in found.items() if (fault := _link_fault(path) or text_fault(name))}
        self.faults = {printable(name): fault for name, fault in faults.items()}
        self.names = frozenset(name for name, path in found.items() if name not in faults and path.is_file())

    def read(self, name: str, *, limit: int) -> bytes:
        path = self._place / name
        try:
            if path.stat().st_size > limit:
                raise Broken(f"more than {limit:,} bytes (max_bytes)")
            return path.read_bytes()
        except OSError as error:
            raise Broken(f"cannot be read ({error.strerror or error})") from None


class _Archive:
    """The files of a ZIP or tar."""

    def __init__(self, stream: BinaryIO, limits: Limits, *, is_tar: bool) -> None:
        self._stream = stream
        self._limits = limits
        self._content: Callable[[BinaryIO, Entry], bytes] = tars.read if is_tar else zips.read
        entries = list((tars if is_tar else zips).entries(stream, most=limits.entries))
        self._entries, self.faults = _sorted_out(entries, set() if is_tar else _overlapping(entries))
        self.names = frozenset(self._entries)
        self._read = 0  # bytes that were unpacked so far

    def read(self, name: str, *, limit: int) -> bytes:
        entry = self._entries[name]
        if entry.size > limit:
            raise Broken(f"more than {limit:,} bytes (max_bytes)")
        if entry.size > self._limits.ratio * entry.packed + SLACK:
            raise Broken(f"unpacks to more than {self._limits.ratio} times its bytes (max_ratio)")
        if self._read + entry.size > self._limits.total:
            raise Broken(f"the archive unpacks to more than {self._limits.total:,} bytes (max_total)")
        self._read += entry.size
        return self._content(self._stream, entry)


def name_fault(name: str) -> str:
    """Why ``name`` would lead out of its archive or cannot stand in a table; empty when it is a plain name."""
    if ".." in name.replace("\\", "/").split("/") or name.startswith(("/", "\\")) or ":" in name[:2]:
        return "its name leads out of the archive"
    return text_fault(name)


def text_fault(name: str) -> str:
    """Why ``name`` cannot stand in a table; empty when it can."""
    return "its name is empty or holds what is no text" if not name or ODD.search(name) else ""


def printable(name: str) -> str:
    """``name`` so that a table can hold it: odd characters escaped."""
    return ODD.sub(lambda odd: odd[0].encode("unicode_escape").decode(), name)


def _link_fault(path: Path) -> str:
    return "a link, which is not followed" if path.is_symlink() else ""


def _archive(stream: BinaryIO, limits: Limits, stack: ExitStack) -> _Archive:
    head = stream.read(tars.BLOCK)
    packer = next((packer for magic, packer in PACKERS.items() if head.startswith(magic)), "")
    if packer:
        spool = stack.enter_context(_spool())
        _unpack(stream, spool, packer, limits)
        stream = spool
        head = stream.read(tars.BLOCK)
    is_tar = tars.looks_like_one(head)
    if packer and not is_tar:
        raise Broken(f"holds no tar, only something that {packer} packed")
    return _Archive(stream, limits, is_tar=is_tar)


@contextmanager
def _spool() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(dir=machine.cache("crawl")) as spool:
        yield spool


def _unpack(stream: BinaryIO, spool: BinaryIO, packer: str, limits: Limits) -> None:
    """Write what ``stream`` unpacks to into ``spool``, within ``limits``, and go back to its start."""
    packed = stream.seek(0, 2)
    stream.seek(0)
    most = min(limits.total, limits.ratio * packed + SLACK)
    written = 0
    try:
        for part in _parts(stream, packer):
            written += len(part)
            if written > most:
                raise Broken(f"unpacks to more than {most:,} bytes (max_total, max_ratio)")
            spool.write(part)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if machine.disk_is_full(error):
            raise
        raise Broken(f"damaged or cut off ({error})") from None
    spool.seek(0)


def _parts(stream: BinaryIO, packer: str) -> Iterator[bytes]:
    if packer == "zstd":
        raise Broken("packed by zstd, which is not read")
    if packer == "xz":
        yield from _xz_parts(stream)
        return
    with gzip.open(stream) if packer == "gzip" else bz2.open(stream) as unpacked:
        while part := unpacked.read(CHUNK):
            yield part


def _xz_parts(stream: BinaryIO) -> Iterator[bytes]:
    """What ``lzma.open`` reads, with a limit of memory, which it has not."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    data = stream.read(CHUNK)
    while data or not unpacker.eof:
        if unpacker.needs_input and not data:
            raise EOFError("the end is missing")
        yield unpacker.decompress(data, CHUNK)
        data = b""
        if unpacker.eof:
            if data := unpacker.unused_data or stream.read(CHUNK):
                unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        elif unpacker.needs_input:
            data = stream.read(CHUNK)


def _sorted_out(entries: Iterable[Entry], overlapping: set[int]) -> tuple[dict[str, Entry], dict[str, str]]:
    """Those that can be read by their names, and why the others cannot."""
    listed = [(_plain(entry.name), entry) for entry in entries]
    count = Counter(name for name, _ in listed)
    good: dict[str, Entry] = {}
    faults: dict[str, str] = {}
    for name, entry in listed:
        fault = entry.fault or name_fault(name)
        if not fault and entry.start in overlapping:
            fault = "its bytes are those of another file, too"
        if not fault and count[name] > 1:
            fault = f"{count[name]} files of the archive have this name"
        if fault:
            faults[printable(name)] = fault
        else:
            good[name] = entry
    return good, faults


def _plain(name: str) -> str:
    """``./a//b`` as ``a/b``; what begins with a slash keeps it."""
    head = "/" if name.startswith("/") else ""
    return head + "/".join(part for part in name.split("/") if part not in ("", "."))


def _overlapping(entries: list[Entry]) -> set[int]:
    """Where entries of a ZIP start that share bytes with another: how a few bytes are made to unpack to terabytes."""
    ordered = sorted(entries, key=lambda entry: entry.start)
    pairs = [(one, other) for one, other in pairwise(ordered) if one.start + zips.least_size(one) > other.start]
    return {entry.start for pair in pairs for entry in pair}
