"""Tar files: their headers, one after another. POSIX.1-2001 pax, ustar, and GNU's long names.

It is read here and not by ``tarfile``, which reads headers of any length into memory, follows a negative size for ever
(CVE-2025-8194) and compiles what the headers say (CVE-2024-6232) in Pythons that we support. Only regular files are
read: a link is never followed.
"""

from collections.abc import Iterator
from typing import BinaryIO

from stages.crawl.archives import LONGEST, Broken, Entry, decoded

BLOCK = 512  # bytes
NOTE = 64 * 1024  # bytes of a long name or of pax records
FILES = (b"0", b"\0", b"7")
KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


def looks_like_one(head: bytes) -> bool:
    """Whether ``head``, the first 512 bytes of a file, is a header of tar."""
    return len(head) == BLOCK and any(head) and _number(head[148:156]) == _checksum(head)


def entries(stream: BinaryIO, *, most: int) -> Iterator[Entry]:
    """The files of the tar in ``stream`` in their order; what is wrong with one stands in its fault.

    Raises:
        Broken: when a header is damaged, the end is missing, or there are more than ``most`` entries.
    """
    length = stream.seek(0, 2)
    place, count, notes = 0, 0, dict[str, bytes]()
    while True:
        header = _block(stream, place)
        if not any(header):
            return
        if _number(header[148:156]) != _checksum(header):
            raise Broken("a header of it is damaged")
        kind, size = header[156:157], int(notes.get("size", b"") or _number(header[124:136]))
        place += BLOCK
        content = 0 if kind in KINDS or kind == b"5" else size
        if content < 0 or place + content > length:
            raise Broken("cut off")
        if kind in b"xL":
            notes |= _note(stream, place, size, kind)
        elif kind not in b"gK":
            count += 1
            if count > most:
                raise Broken(f"holds more than {most:,} files (max_entries)")
            if entry := _entry(header, kind, notes, place, size):
                yield entry
            notes = {}
        place += -(-content // BLOCK) * BLOCK


def read(stream: BinaryIO, entry: Entry) -> bytes:
    """The content of ``entry``. Raises Broken when the file ends before it does."""
    stream.seek(entry.start)
    content = stream.read(entry.size)
    if len(content) != entry.size:
        raise Broken("cut off")
    return content


def _block(stream: BinaryIO, place: int) -> bytes:
    stream.seek(place)
    header = stream.read(BLOCK)
    if len(header) < BLOCK:
        raise Broken("cut off: the blocks that close a tar are missing")
    return header


def _entry(header: bytes, kind: bytes, notes: dict[str, bytes], place: int, size: int) -> Entry | None:
    """The entry that ``header`` tells of; none for a folder."""
    raw = notes.get("path") or _path(header)
    if kind == b"5" or raw.endswith(b"/"):
        return None
    name, fault = decoded(raw)
    if kind not in FILES or "sparse" in notes:
        fault = f"{KINDS.get(kind, 'of a special kind')}, no plain file"
    return Entry(
        name=name,
        raw=raw[:LONGEST],
        size=size,
        packed=size,
        start=place,
        method=0,
        checksum=0,
        fault=fault,
    )


def _path(header: bytes) -> bytes:
    """The name in ``header``, with the prefix that ustar may put before it."""
    name, prefix = _text(header[:100]), _text(header[345:500])
    return prefix + b"/" + name if header[257:263] == b"ustar\0" and prefix else name


def _note(stream: BinaryIO, place: int, size: int, kind: bytes) -> dict[str, bytes]:
    """What a header of the kind ``x`` or ``L`` says of the file that follows: path, size, sparse."""
    if size > NOTE:
        raise Broken(f"has a header of {size:,} bytes; at most {NOTE:,} are read")
    stream.seek(place)
    content = stream.read(size)
    if kind == b"L":
        return {"path": _text(content)}
    found: dict[str, bytes] = {}
    while content:
        digits, _, _ = content.partition(b" ")
        if not digits.isdigit() or len(digits) > 6 or not len(digits) < int(digits) <= len(content):
            raise Broken("a header of it is damaged")
        key, _, value = content[len(digits) + 1 : int(digits) - 1].partition(b"=")
        content = content[int(digits) :]
        if key == b"path" or (key == b"size" and value.isdigit() and len(value) < 20):
            found[key.decode()] = value
        elif key.startswith(b"GNU.sparse"):
            found["sparse"] = value
    return found


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or base 256 when the first bit is set; -1 when it is neither."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:]) if field[0] == 0x80 else -1
    digits = field.strip(b" \0")
    return int(digits or b"0", 8) if all(digit in b"01234567" for digit in digits) else -1


def _checksum(header: bytes) -> int:
    """The sum of all bytes, those of the checksum itself taken as spaces."""
    return sum(header) - sum(header[148:156]) + 8 * ord(" ")
