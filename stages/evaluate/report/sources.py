"""The folders that the page reads."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What each stage before left."""

    crawled: Path
    frames: Path
    measured: Path
    cleaned: Path
    anonymised: Path
    prepared: Path
    trained: Path
