"""The blocks of metadata inside a picture's or video's file: XMP packets, IPTC-IIM records, a C2PA manifest store.

Nothing is decoded here, and a broken file gives what was found up to the break.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST = 4_000_000  # bytes of one block; manifests with thumbnails have about one million
MOST_PACKETS = 4  # XMP packets of one file; a video may hold several
# Boxes of kind "uuid" in AVIF, HEIF and MP4: C2PA 2.2, A.5 "Embedding manifests into BMFF-based assets"
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The metadata of one file as bytes; empty where there is none."""

    xmp: tuple[bytes, ...]
    iim: bytes  # records of IPTC-IIM
    manifests: bytes  # a JUMBF box of C2PA


def read(body: bytes) -> Blocks:
    """The blocks in ``body``, a file of any kind; XMP is searched for by its first tag, as its standard allows."""
    walk = next((each for magic, each in _WALKS.items() if body[4:8] == magic or body.startswith(magic)), None)
    found: dict[str, list[bytes]] = {"xmp": [], "iim": [], "c2pa": []}
    try:
        for kind, block in walk(body) if walk else ():
            found[kind].append(block[:LARGEST])
    except (struct.error, IndexError, zlib.error):
        pass  # cut off: what stands before is kept
    return Blocks(
        xmp=tuple(dict.fromkeys((*found["xmp"], *_packets(body)))),
        iim=b"".join(found["iim"]),
        manifests=_reassembled(found["c2pa"]) if body.startswith(b"\xff\xd8") else b"".join(found["c2pa"]),
    )


def _packets(body: bytes) -> Iterator[bytes]:
    end = 0
    for _ in range(MOST_PACKETS):
        starts = [at for tag in (b"<x:xmpmeta", b"<rdf:RDF") if (at := body.find(tag, end)) >= 0]
        if not starts:
            return
        start = min(starts)
        close = b"</x:xmpmeta>" if body.startswith(b"<x:xmpmeta", start) else b"</rdf:RDF>"
        found = body.find(close, start, start + LARGEST)
        end = found + len(close) if found >= 0 else min(len(body), start + LARGEST)
        yield body[start:end]


def _jpeg(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Segments up to the pixels: JPEG, ISO/IEC 10918-1, B.1.1."""
    at = 2
    while body[at] == 0xFF and body[at + 1] != 0xDA:
        if body[at + 1] == 0xFF:  # bytes of fill may stand before a marker
            at += 1
            continue
        (size,) = struct.unpack_from(">H", body, at + 2)
        marker, content = body[at + 1], body[at + 4 : at + 2 + size]
        if marker == 0xED and content.startswith(b"Photoshop 3.0\0"):
            yield from _resources(content[14:])
        elif marker == 0xEB and content.startswith(b"JP"):
            yield "c2pa", content
        at += 2 + max(size, 2)


def _resources(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Photoshop's image resources; number 0x0404 holds IPTC-IIM."""
    at = 0
    while content[at : at + 4] == b"8BIM":
        (number,) = struct.unpack_from(">H", content, at + 4)
        at += 6 + (content[at + 6] + 2) // 2 * 2
        (size,) = struct.unpack_from(">I", content, at)
        if number == 0x0404:
            yield "iim", content[at + 4 : at + 4 + size]
        at += 4 + (size + 1) // 2 * 2


def _reassembled(segments: list[bytes]) -> bytes:
    """One JUMBF box of the segments APP11 that carry its parts: ISO/IEC 19566-5, D.2.

    Each has ``JP``, the number of the box, the number of the part, and again the head of the box.
    """
    numbered = sorted((struct.unpack_from(">HI", each, 2), each) for each in segments if len(each) >= 16)
    parts = [each[8:] if part == 1 else each[16:] for (_, part), each in numbered]
    return b"".join(parts)


def _png(body: bytes) -> Iterator[tuple[str, bytes]]:
    at = 8
    while at < len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        content = body[at + 8 : at + 8 + size]
        if kind == b"caBX":
            yield "c2pa", content
        elif kind == b"iTXt" and content.startswith(b"XML:com.adobe.xmp\0\x01"):  # packed: the search cannot see it
            yield "xmp", zlib.decompressobj().decompress(content[18:].split(b"\0", 3)[-1], LARGEST)
        at += 12 + size


def _riff(body: bytes) -> Iterator[tuple[str, bytes]]:
    at = 12
    while at < len(body):
        kind, size = struct.unpack_from("<4sI", body, at)
        if kind == b"C2PA":
            yield "c2pa", body[at + 8 : at + 8 + size]
        at += 8 + (size + 1) // 2 * 2


def _bmff(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Boxes of AVIF, HEIF and MP4. C2PA's holds version and flags, its purpose, an offset, and the manifest store."""
    at = 0
    while at < len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", body, at + 8), 16
        end = at + max(size, head) if size else len(body)
        content = body[at + head : end] if kind == b"uuid" else b""
        if content.startswith(_C2PA_UUID):
            purpose, _, rest = content[20:].partition(b"\0")
            if purpose == b"manifest":
                yield "c2pa", rest[8:]
        at = end


_WALKS = {b"\xff\xd8": _jpeg, b"\x89PNG": _png, b"RIFF": _riff, b"ftyp": _bmff}
