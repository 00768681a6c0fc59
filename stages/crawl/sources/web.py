"""A web site: start pages and what sitemaps list, and the links from them within a scope, to a depth."""

import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.crawl import media, pages, sitemaps
from stages.crawl.journal import Journal
from stages.crawl.sites import Sites
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError, RobotsDenied, SourceError
from stages.records import Signal
from stages.web import addresses, robots
from stages.web.client import Answer, Client


@settings
class Config:
    """Which pages, and which of their pictures. Patterns are those of robots.txt: a head, ``*``, and ``$`` for the end."""

    start: Annotated[tuple[str, ...], Field(min_length=1)]  # addresses of pages
    sitemaps: tuple[str, ...]  # addresses of more pages; "robots" stands for those that robots.txt names
    hosts: tuple[str, ...]  # that may be visited; none named: those of the start pages
    picture_hosts: tuple[str, ...]  # more hosts that pictures may come from; "*" for any
    include: tuple[str, ...]  # patterns of paths of pages that are visited; none: all
    exclude: tuple[str, ...]  # patterns of paths of pages and pictures that are not
    depth: Annotated[int, Field(ge=0)]  # links away from a start page
    max_pages: Annotated[int, Field(gt=0)]
    max_items: Annotated[int, Field(gt=0)]  # pictures and videos


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        name = hashlib.sha256(repr(config).encode()).hexdigest()[:16]
        with closing(Client(visit.manners)) as client:
            yield from crawl(config, Journal(client, machine.cache(f"crawl/web-{name}"), fresh_hours=visit.fresh_hours))

    return collect


def crawl(config: Config, journal: Journal) -> Iterator[Found | Missed]:
    """Breadth first from the start pages: every picture and video in scope, each address once.

    Raises:
        SourceError: when the only start page cannot be had.
    """
    scope, sites = _Scope(config), Sites(journal)
    waiting = list(dict.fromkeys([*map(addresses.clean, config.start), *_listed(config, scope, journal)]))
    seen, shown, visited = set(waiting), set[str](), 0
    for depth in range(config.depth + 1):
        level, waiting = waiting[: config.max_pages - visited], []
        visited += len(level)
        found: list[_Shown] = []
        sites.prepare(level)
        for outcome, url in zip(journal.get_all(level), level, strict=True):
            page = _page(config, scope, sites, url, outcome)
            if isinstance(page, Missed):
                yield page
                continue
            fresh = [each for each in page.pictures if each.url not in shown and scope.shows(each.url)]
            fresh = fresh[: config.max_items - len(shown)]
            shown.update(each.url for each in fresh)
            found += [_Shown(picture=each, page=url, signals=page.signals) for each in fresh]
            links = (
                [link for link in page.links if link not in seen and scope.visits(link)] if depth < config.depth else []
            )
            seen.update(links)
            waiting += links
        sites.prepare(each.picture.url for each in found)
        outcomes = journal.get_all(each.picture.url for each in found)
        yield from (_brought(sites, outcome, each) for outcome, each in zip(outcomes, found, strict=True))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture that is to be brought."""

    picture: pages.Picture
    page: str
    signals: tuple[Signal, ...]  # of the page


class _Scope:
    """Which addresses are of interest."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._hosts = set(config.hosts) or {addresses.host(addresses.clean(url)) for url in config.start}
        self._picture_hosts = self._hosts | set(config.picture_hosts)

    def visits(self, url: str) -> bool:
        """Whether the page at ``url`` is read."""
        included = _fits(self._config.include, url) or not self._config.include
        return addresses.host(url) in self._hosts and included and not _fits(self._config.exclude, url)

    def shows(self, url: str) -> bool:
        """Whether the picture at ``url`` is brought."""
        near = addresses.host(url) in self._picture_hosts or "*" in self._picture_hosts
        return near and not _fits(self._config.exclude, url)

    def holds(self, url: str) -> bool:
        """Whether ``url`` is of a host that may be visited, wherever a redirect led."""
        return addresses.host(url) in self._hosts


def _fits(patterns: tuple[str, ...], url: str) -> bool:
    return any(robots.matches(pattern, addresses.target(url)) for pattern in patterns)


def _listed(config: Config, scope: _Scope, journal: Journal) -> Iterator[str]:
    """The pages in scope that sitemaps list, no more than are visited anyway."""
    roots = [addresses.clean(url) for url in config.sitemaps if url != "robots"]
    if "robots" in config.sitemaps:
        for origin in dict.fromkeys(addresses.origin(addresses.clean(url)) for url in config.start):
            with suppress(FetchError):  # the start page will say so
                roots += [
                    found for each in journal.robots(origin).sitemaps if (found := addresses.joined(origin, each))
                ]
    return islice(filter(scope.visits, sitemaps.listed(journal, roots)), config.max_pages)


def _page(config: Config, scope: _Scope, sites: Sites, url: str, outcome: Answer | FetchError) -> pages.Page | Missed:
    """The page at ``url`` with all that is said of its uses."""
    if isinstance(outcome, FetchError):
        if (url,) == tuple(map(addresses.clean, config.start)):
            raise SourceError(f"{outcome}; it is the only start page: check crawl.sources.web.start and the network")
        return _missed(url, outcome)
    if not scope.holds(outcome.url):
        return Missed(url=url, reason=f"redirects to {outcome.url}, which is not of hosts", forbidden=False)
    if "html" not in outcome.headers.get("content-type", "text/html"):
        return pages.Page(links=(), pictures=(), signals=())  # a link to a file shows nothing, and is no failure
    page = pages.read(outcome.body, outcome.url, outcome.headers, agent=sites.agent)
    said = sites.signals(url, outcome, scope="page", tdm_meta=page.tdm, rsl=page.rsl)
    return replace(page, signals=tuple(dict.fromkeys((*page.signals, *said))))


def _brought(sites: Sites, outcome: Answer | FetchError, shown: _Shown) -> Found | Missed:
    picture = shown.picture
    if isinstance(outcome, FetchError):
        return _missed(picture.url, outcome)
    if not media.kind(outcome):
        return Missed(url=picture.url, reason=f"is {outcome.headers['content-type']}, no picture", forbidden=False)
    said = sites.signals(picture.url, outcome, scope="picture")
    return Found(
        url=picture.url,
        page=shown.page,
        kind=picture.kind,
        alt=picture.alt,
        title=picture.title,
        author=picture.author,
        credit=picture.credit,
        licence_evidence=picture.licence_evidence,
        signals=tuple(dict.fromkeys((*shown.signals, *said))),
        consent="",
        group="",
        body=outcome.body,
    )


def _missed(url: str, error: FetchError) -> Missed:
    return Missed(url=url, reason=str(error).removeprefix(f"{url}: "), forbidden=isinstance(error, RobotsDenied))
