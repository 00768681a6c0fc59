"""A little web site of real pictures, served on loopback to the very crawler that ``web`` is.

The pictures ship inside installed packages; the addresses (``http://sample.test/…``, a name that can never be real) do
not depend on the port, so the same crawl gives the same bytes everywhere. ``limits`` starve it of pictures, and requests of the loop bring them back.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Annotated, Literal

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.crawl import site
from stages.crawl.journal import Journal
from stages.crawl.sources import Found, Missed, Source, Visit, web
from stages.records import Request
from stages.web.client import Client


@settings
class Config:
    """Which site, and how far the crawler goes."""

    specimens: Literal["photographs", "digits", "turned digits"]
    depth: Annotated[int, Field(ge=0)]  # links away from the start page
    max_pages: Annotated[int, Field(gt=0)]
    max_items: Annotated[int, Field(gt=0)]  # pictures and videos
    limits: dict[str, Annotated[int, Field(ge=0)]]  # pictures at most whose words hold a word: a fault to plant


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        built = site.build(config.specimens)
        settings_of = web.Config(
            start=(f"http://{site.HOST}/",),
            sitemaps=("robots",),
            hosts=(),
            picture_hosts=(),
            include=(),
            exclude=(),
            depth=config.depth,
            max_pages=config.max_pages,
            max_items=config.max_items,
        )
        with site.served(built) as address:
            hasty = dataclasses.replace(visit.manners, pause=0.0, backoff=0.05)  # the host is this machine
            folder = machine.cache(f"crawl/sample-{site.digest(built)}")
            with closing(Client(hasty, connect_to={site.HOST: address})) as client:
                found = web.crawl(settings_of, Journal(client, folder, fresh_hours=visit.fresh_hours))
                yield from limited(found, limits(config, visit.requests))

    return collect


def limits(config: Config, requests: Iterable[Request]) -> dict[str, int]:
    """How many pictures of each limited word there may be: the limit, and what ``requests`` for that word ask for beyond it."""
    more = Counter[str]()
    for each in requests:
        more.update(dict.fromkeys(each.words, each.count))
    return {word: most + more[word] for word, most in config.limits.items()}


def limited(found: Iterable[Found | Missed], most: Mapping[str, int]) -> Iterator[Found | Missed]:
    """``found``, less the pictures beyond the first ``most`` whose words hold a word."""
    seen = Counter[str]()
    for each in found:
        words = set(each.alt.split()) & most.keys() if isinstance(each, Found) else set()
        seen.update(words)
        if all(seen[word] <= most[word] for word in words):
            yield each
