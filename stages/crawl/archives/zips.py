"""ZIP files: their directory and one file of it at a time. PKWARE's APPNOTE 6.3.10, the parts that pictures come in.

It is read here and not by ``zipfile``, which stops at the first odd entry, takes a name for what stands before a NUL,
and before Python 3.11.8 reads entries that overlap (CVE-2024-0450). Stored, deflate and bzip2 are read; ZIP64 is.
What it does not do: archives in several parts, passwords, LZMA.
"""

import bz2
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from stages.crawl.archives import CHUNK, LONGEST, Broken, Entry, decoded

END = struct.Struct("<4s4H2LH")  # 4.3.16 end of central directory record
END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
LOCATOR64 = struct.Struct("<4sLQL")  # 4.3.15
CENTRAL = struct.Struct("<4s6H3L5H2L")  # 4.3.12
LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
COMMENT = 0xFFFF  # bytes at most
UTF8, ENCRYPTED = 0x800, 0x1  # bits of the flags, 4.4.4
STORED, DEFLATE, BZIP2 = 0, 8, 12  # 4.4.5
UNIX = 3  # 4.4.2: the upper half of the external attributes is a mode


def entries(stream: BinaryIO, *, most: int) -> Iterator[Entry]:
    """The files of the ZIP in ``stream`` in the order of its directory; what is wrong with one stands in its fault.

    Raises:
        Broken: when it has no whole directory, or more than ``most`` entries.
    """
    count, start, shift = _directory(stream)
    if count > most:
        raise Broken(f"holds {count:,} files, more than {most:,} (max_entries)")
    stream.seek(start)
    for _ in range(count):
        header = stream.read(CENTRAL.size)
        if len(header) < CENTRAL.size or header[:4] != b"PK\x01\x02":
            raise Broken("its directory is damaged")
        fields = CENTRAL.unpack(header)
        name, extra, _ = (stream.read(length) for length in fields[10:13])  # the third is a comment
        if not name.endswith(b"/"):
            yield _entry(name, extra, fields, shift)


def read(stream: BinaryIO, entry: Entry) -> bytes:
    """The content of ``entry``, never more bytes than it claims.

    Raises:
        Broken: when it is not where the directory says, or not what its checksum says.
    """
    stream.seek(entry.start)
    header = stream.read(LOCAL.size)
    if len(header) < LOCAL.size or header[:4] != b"PK\x03\x04":
        raise Broken("the directory points to no file")
    name_size, extra_size = LOCAL.unpack(header)[9:11]
    if stream.read(name_size) != entry.raw:
        raise Broken("it has two names")
    stream.seek(extra_size, 1)
    try:
        content = b"".join(_unpacked(stream, entry))
    except (zlib.error, OSError, EOFError) as error:
        raise Broken(f"damaged ({error})") from None
    if len(content) != entry.size or zlib.crc32(content) != entry.checksum:
        raise Broken("damaged (its checksum is another)")
    return content


def least_size(entry: Entry) -> int:
    """How many bytes ``entry`` takes at least, from its local header on."""
    return LOCAL.size + len(entry.raw) + entry.packed


def _directory(stream: BinaryIO) -> tuple[int, int, int]:
    """Entries and offset of the directory, and how far all offsets are off: programs can stand before a ZIP."""
    length = stream.seek(0, 2)
    head = max(0, length - END.size - COMMENT)
    stream.seek(head)
    tail = stream.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < END.size:
        raise Broken("no ZIP and no tar, or cut off")
    end = head + found
    count, size, offset = END.unpack_from(tail, found)[4:7]
    if found >= LOCATOR64.size + END64.size and tail[found - LOCATOR64.size :].startswith(b"PK\x06\x07"):
        end -= LOCATOR64.size + END64.size
        record = END64.unpack_from(tail, end - head)
        if record[0] == b"PK\x06\x06":
            count, size, offset = record[7:10]
    if size > end or end - size < offset:
        raise Broken("its directory is not where it says, so it is cut off")
    return count, end - size, end - size - offset


def _entry(raw: bytes, extra: bytes, fields: tuple[int, ...], shift: int) -> Entry:
    system, flags, method = fields[1] >> 8, fields[3], fields[4]
    packed, size, start = _wide(extra, fields[8], fields[9], fields[16])
    name, fault = decoded(raw, "utf-8" if flags & UTF8 else "cp437")
    if flags & ENCRYPTED:
        fault = "behind a password; make the archive anew without one"
    elif system == UNIX and stat.S_IFMT(fields[15] >> 16) not in (0, stat.S_IFREG):
        fault = "a link or device, no file"
    elif method not in (STORED, DEFLATE, BZIP2):
        fault = f"compressed by method {method}; stored, deflate and bzip2 are read"
    return Entry(
        name=name,
        raw=raw[:LONGEST],
        size=size,
        packed=packed,
        start=start + shift,
        method=method,
        checksum=fields[7],
        fault=fault,
    )


def _wide(extra: bytes, packed: int, size: int, start: int) -> tuple[int, int, int]:
    """The sizes and the offset with those of ZIP64 in place of 0xFFFFFFFF; 4.5.3."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        values, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == 1:
            numbers = (number for (number,) in struct.iter_unpack("<Q", values[: len(values) // 8 * 8]))
            size = next(numbers, size) if size == 0xFFFFFFFF else size
            packed = next(numbers, packed) if packed == 0xFFFFFFFF else packed
            start = next(numbers, start) if start == 0xFFFFFFFF else start
    return packed, size, start


def _unpacked(stream: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """What the bytes at ``stream`` unpack to, in parts, up to one byte more than ``entry`` claims."""
    if entry.method == STORED:
        yield stream.read(min(entry.packed, entry.size + 1))
        return
    unpacker = zlib.decompressobj(-15) if entry.method == DEFLATE else bz2.BZ2Decompressor()
    left, wanted = entry.packed, entry.size + 1
    waiting = b""
    while wanted and not unpacker.eof:
        if not waiting:
            waiting = stream.read(min(CHUNK, left))
            left -= len(waiting)
        part = unpacker.decompress(waiting, min(CHUNK, wanted))
        if not part and not waiting:
            return  # the archive ends before the file does
        waiting = getattr(unpacker, "unconsumed_tail", b"")
        wanted -= len(part)
        yield part
