"""Where pictures come from: one file each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from stages.records import Evidence, Request, Signal
from stages.web.client import Manners


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One picture or video that a source brought, with what was said of it."""

    url: str
    page: str
    kind: Literal["image", "video"]
    alt: str
    title: str
    author: str
    credit: str
    licence_evidence: tuple[Evidence, ...]
    signals: tuple[Signal, ...]
    consent: str
    group: str
    body: bytes
    mask: bytes = b""  # a picture of which parts count, where somebody drew one


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """One address that a source could not or must not bring."""

    url: str
    reason: str
    forbidden: bool  # the site asks us to stay away: no failure of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every source is given."""

    manners: Manners
    own: Path  # where the user puts pictures of their own
    fresh_hours: float  # how old a fetched answer may be to serve again
    requests: tuple[Request, ...] = ()  # what the round before asks for; a source that cannot search does without them


class Source(Protocol):
    """Brings what it has, in an order that does not change."""

    def __call__(self, visit: Visit) -> Iterator[Found | Missed]:
        """Raises SourceError or FetchError when it can bring nothing at all."""
        ...
