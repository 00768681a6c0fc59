"""Fetch pictures and videos from the chosen sources, with all that is said of the rights to them."""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from stages import licences, plugins, shards, tables
from stages.config import settings
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import SourceError
from stages.records import Failure, Item, Report
from stages.shards import Place
from stages.web.client import Manners


@settings
class Config:
    """Which sources, and how to behave towards them."""

    sources: dict[str, dict[str, Any]]  # one of ``sources`` and its settings, by a name that sorts them
    manners: Manners
    fresh_hours: Annotated[float, Field(ge=0)]  # how old a fetched answer may be to serve again
    max_failures: Annotated[float, Field(ge=0, le=1)]  # share of all addresses; what robots.txt forbids is no failure
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, own: Path, out: Path) -> Report:
    """Bring all that ``config.sources`` have; ``own`` is where the user's own pictures lie. Writes Item and Failure.

    Raises:
        SourceError: when nothing was brought, or more failed than ``max_failures``.
    """
    visit = Visit(manners=config.manners, own=own, fresh_hours=config.fresh_hours)
    brought = list(
        tqdm(_collect(config, visit), desc="crawl", unit=" files", disable=not sys.stderr.isatty(), leave=False)
    )
    found = [each for each in brought if isinstance(each, Found)]
    missed = [each for each in brought if isinstance(each, Missed)]
    failed = sum(not each.forbidden for each in missed)
    worst = next((f"; first {each.url}: {each.reason}" for each in sorted(missed, key=lambda each: each.forbidden)), "")
    if not found:
        raise SourceError(f"crawl: {', '.join(config.sources)} brought no picture; see crawl.sources in conf/{worst}")
    if failed > config.max_failures * len(brought):
        raise SourceError(f"crawl: {failed} of {len(brought)} addresses failed, more than max_failures allows{worst}")
    bodies = {hashlib.sha256(each.body).hexdigest(): each.body for each in found}
    places = shards.write(out, bodies, digits=config.shard_digits)
    tables.write(out, Item, items(found, places))
    tables.write(out, Failure, {each.url: _failure(each) for each in missed}.values())
    return _report(found, missed, bodies)


def items(found: Iterable[Found], places: Mapping[str, Place]) -> list[Item]:
    """One ``Item`` for each digest of bytes. What was said of the same bytes in several places is said of all."""
    together: dict[str, list[Found]] = {}
    for each in found:
        together.setdefault(hashlib.sha256(each.body).hexdigest(), []).append(each)
    return [_item(digest, same, places[digest]) for digest, same in together.items()]


def _item(digest: str, same: list[Found], place: Place) -> Item:
    first = same[0]
    return Item(
        id=digest,
        url=first.url,
        page=first.page,
        kind=first.kind,
        alt=first.alt,
        title=first.title,
        author=first.author,
        credit=first.credit,
        licence=licences.strictest(raw for each in same for raw in _statements(each)),
        licence_evidence=tuple(dict.fromkeys(one for each in same for one in each.licence_evidence)),
        signals=tuple(dict.fromkeys(one for each in same for one in each.signals)),
        consent=first.consent if all(each.consent == first.consent for each in same) else "",
        place=place,
    )


def _statements(found: Found) -> list[str]:
    """The raw statements that count: those on the picture itself, or else those on its page."""
    own = [each.raw for each in found.licence_evidence if each.scope == "picture"]
    return own or [each.raw for each in found.licence_evidence] or [""]


def _collect(config: Config, visit: Visit) -> Iterable[Found | Missed]:
    for name in sorted(config.sources):
        source: Source = plugins.build("stages.crawl.sources", config.sources[name])
        yield from source(visit)


def _failure(missed: Missed) -> Failure:
    return Failure(id=hashlib.sha256(missed.url.encode()).hexdigest(), what=missed.url, reason=missed.reason)


def _report(found: list[Found], missed: list[Missed], bodies: Mapping[str, bytes]) -> Report:
    return {
        "items": len(bodies),
        "videos": len({each.url for each in found if each.kind == "video"}),
        "bytes": sum(map(len, bodies.values())),
        "forbidden": sum(each.forbidden for each in missed),
        "failed": sum(not each.forbidden for each in missed),
    }
