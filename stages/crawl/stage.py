"""Fetch pictures and videos from the chosen sources, with all that is said of the rights to them."""

import hashlib
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from stages import licences, plugins, rights, rounds, shards, tables
from stages.config import settings
from stages.crawl import embedded, releases
from stages.crawl.embedded import Embedded
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import SourceError
from stages.records import Consent, Failure, Item, Mask, Report
from stages.shards import Place
from stages.web.client import Manners

log = logging.getLogger(__name__)

SHOWN = 3  # of what could not be brought; all of it lies in the table Failure
MASK = "-mask"  # after a picture's digest: the name of its mask


@settings
class Config:
    """Which sources, and how to behave towards them."""

    sources: dict[str, dict[str, Any]]  # one of ``sources`` and its settings, by a name that sorts them
    manners: Manners
    follow_requests: bool  # of the round before: what to look for beside what the sources are told
    fresh_hours: Annotated[float, Field(ge=0)]  # how old a fetched answer may be to serve again
    max_failures: Annotated[float, Field(ge=0, le=1)]  # share of all addresses; what robots.txt forbids is no failure
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, own: Path, out: Path) -> Report:
    """Bring all that ``config.sources`` have; ``own`` is where the user's own pictures lie. Writes Item, Mask, Failure and Consent.

    Raises:
        SourceError: when nothing was brought, more failed than ``max_failures``, or consents cannot be read.
    """
    consents = releases.read(own)
    asked = tuple(rounds.requests(own)) if config.follow_requests else ()
    visit = Visit(manners=config.manners, own=own, fresh_hours=config.fresh_hours, requests=asked)
    found: dict[str, list[Found]] = {}  # by digest, each without its body: memory holds one picture at a time
    inside: dict[str, Embedded] = {}  # what the file itself says, by digest
    missed: list[Missed] = []
    with shards.Writer(out, digits=config.shard_digits) as writer:
        for each in tqdm(
            _collect(config, visit), desc="crawl", unit=" files", disable=not sys.stderr.isatty(), leave=False
        ):
            if isinstance(each, Missed):
                missed.append(each)
                continue
            digest = hashlib.sha256(each.body).hexdigest()
            if digest not in found:
                writer.add(digest, each.body)
                inside[digest] = embedded.read(each.body)
            if each.mask:
                writer.add(f"{digest}{MASK}", each.mask)
            found.setdefault(digest, []).append(replace(each, body=b"", mask=b""))
        _check(config, found, missed)
    _say_missed([each for each in missed if not each.forbidden])
    tables.write(out, Item, items(found, inside, writer.places))
    masks = {digest: writer.places[name] for digest in found if (name := f"{digest}{MASK}") in writer.places}
    tables.write(out, Mask, [Mask(id=digest, place=place) for digest, place in masks.items()])
    tables.write(out, Consent, consents)
    tables.write(out, Failure, {each.url: _failure(each) for each in missed}.values())
    return _report(found, missed, writer.places)


def items(found: Mapping[str, list[Found]], inside: Mapping[str, Embedded], places: Mapping[str, Place]) -> list[Item]:
    """One ``Item`` for each digest of bytes. What was said of the same bytes in several places is said of all."""
    return [_item(digest, same, inside[digest], places[digest]) for digest, same in found.items()]


def _item(digest: str, same: list[Found], inside: Embedded, place: Place) -> Item:
    first = same[0]
    evidence = [(*inside.evidence, *each.licence_evidence) for each in same]
    return Item(
        id=digest,
        url=first.url,
        page=first.page,
        kind=first.kind,
        alt=first.alt,
        title=first.title or inside.title,
        author=first.author or inside.author,
        credit=first.credit or inside.credit,
        licence=licences.strictest(name for each in evidence for name in rights.statements(each) or [""]),
        licence_evidence=tuple(dict.fromkeys(one for each in evidence for one in each)),
        signals=tuple(dict.fromkeys((*(one for each in same for one in each.signals), *inside.signals))),
        consent=first.consent if all(each.consent == first.consent for each in same) else "",
        group=min(filter(None, (each.group for each in same)), default=""),
        place=place,
    )


def _collect(config: Config, visit: Visit) -> Iterable[Found | Missed]:
    """What each source brings; all are built first, so that a wrong value of the last one costs no crawl."""
    sources: list[Source] = [
        plugins.build("stages.crawl.sources", config.sources[name]) for name in sorted(config.sources)
    ]
    for source in sources:
        yield from source(visit)


def _failure(missed: Missed) -> Failure:
    return Failure(id=hashlib.sha256(missed.url.encode()).hexdigest(), what=missed.url, reason=missed.reason)


def _say_missed(failed: Sequence[Missed]) -> None:
    """The first of what could not be brought, so that a wrong pattern in ``rights.yaml`` is not only a number."""
    for each in failed[:SHOWN]:
        log.warning("crawl: %s: %s", each.url, each.reason)
    if len(failed) > SHOWN:
        log.warning("crawl: and %d more like these, in failure.jsonl", len(failed) - SHOWN)


def _check(config: Config, found: Mapping[str, list[Found]], missed: list[Missed]) -> None:
    """Raise SourceError when nothing was brought, or more failed than may."""
    failed = sum(not each.forbidden for each in missed)
    tried = sum(map(len, found.values())) + len(missed)
    worst = next((f"; first {each.url}: {each.reason}" for each in sorted(missed, key=lambda each: each.forbidden)), "")
    if not found:
        raise SourceError(
            f"crawl: {', '.join(config.sources)} brought no picture; see crawl.sources in conf/, or data/own/README.md for "
            f"pictures of your own{worst}"
        )
    if failed > config.max_failures * tried:
        raise SourceError(f"crawl: {failed} of {tried} addresses failed, more than max_failures allows{worst}")


def _report(found: Mapping[str, list[Found]], missed: list[Missed], places: Mapping[str, Place]) -> Report:
    return {
        "items": len(found),
        "videos": len({each.url for same in found.values() for each in same if each.kind == "video"}),
        "bytes": sum(place.size for place in places.values()),
        "forbidden": sum(each.forbidden for each in missed),
        "failed": sum(not each.forbidden for each in missed),
    }
