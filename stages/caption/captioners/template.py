"""Words made of what is known of a picture: the first pattern whose fields are all known."""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from stages.caption.captioners import Captioner, speaking
from stages.config import settings
from stages.records import Item

FIELDS = ("alt", "title", "author", "credit", "licence", "host", "kind")


def _plain(pattern: str) -> str:
    """``pattern``, which may name fields and nothing inside them."""
    unknown = sorted({name for _, name, _, _ in Formatter().parse(pattern) if name is not None} - set(FIELDS))
    if unknown:
        raise ValueError(f"there is no field {', '.join(map(repr, unknown))}; there are: {', '.join(FIELDS)}")
    return pattern


@settings
class Config:
    """The patterns, the best first."""

    patterns: Annotated[tuple[Annotated[str, AfterValidator(_plain)], ...], Field(min_length=1)]


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return speaking("template", lambda item: filled(config.patterns, known(item)))


def known(item: Item) -> dict[str, str]:
    """The fields that a pattern may name; the empty ones are not known."""
    return {"host": urlsplit(item.page or item.url).hostname or ""} | {
        name: getattr(item, name) for name in FIELDS if name != "host"
    }


def filled(patterns: Sequence[str], fields: Mapping[str, str]) -> str:
    """The first of ``patterns`` whose fields are all known, filled in; empty when there is none."""
    for pattern in patterns:
        if all(fields[name] for _, name, _, _ in Formatter().parse(pattern) if name is not None):
            return pattern.format_map(fields)
    return ""
