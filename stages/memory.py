"""What once took long, kept in the cache folder as bytes with their digest, so that damage is seen and asked anew."""

import hashlib
from pathlib import Path

from stages.tables import replace

DIGEST = 32  # bytes of a SHA-256, in front


def place(store: Path, digest: str) -> Path:
    """Where in ``store`` the answer to what has ``digest`` lies: not all of them in one folder."""
    return store.joinpath(digest[:2], digest)


def keep(file: Path, content: bytes) -> None:
    """Keep ``content`` in ``file``, whole or not at all."""
    replace(file, hashlib.sha256(content).digest() + content)


def recalled(file: Path) -> bytes | None:
    """What was kept in ``file``; ``None`` when there is nothing, or it was damaged."""
    try:
        with file.open("rb", buffering=0) as stream:  # small files by the thousand: a buffer costs a quarter more
            content = stream.read()
    except OSError:
        return None
    return content[DIGEST:] if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST] else None
