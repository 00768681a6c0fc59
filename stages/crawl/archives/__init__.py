"""Archives of files that strangers packed. Nothing is ever unpacked to a path that an archive names."""

from dataclasses import dataclass

CHUNK = 64 * 1024  # bytes
LONGEST = 4096  # bytes of a name; PATH_MAX of Linux


class Broken(Exception):
    """Of an archive or of one file: why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may come out of one archive, whatever it claims."""

    total: int  # bytes of all files, unpacked
    ratio: int  # unpacked to packed bytes, of one file and of a packed tar
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file as an archive tells of it."""

    name: str
    raw: bytes  # the name as it stands there, no more than LONGEST of it
    size: int  # bytes, unpacked
    packed: int  # bytes
    start: int  # offset in bytes: in a ZIP of its local header, in a tar of its content
    method: int  # of compression, in a ZIP
    checksum: int  # CRC-32, in a ZIP
    fault: str  # why it cannot be brought; empty when it can


def decoded(raw: bytes, encoding: str = "utf-8") -> tuple[str, str]:
    """The name that ``raw`` stands for, and what is wrong with it; empty when nothing is."""
    if len(raw) > LONGEST:
        return raw[:LONGEST].decode(errors="backslashreplace"), f"its name has more than {LONGEST:,} bytes"
    try:
        return raw.decode(encoding), ""
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), "its name is not UTF-8 text"
