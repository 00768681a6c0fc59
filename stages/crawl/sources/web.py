"""A web site: start pages, and the links from them within allowed hosts, to a depth."""

import hashlib
from collections.abc import Container, Iterator
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.crawl import pages
from stages.crawl.journal import Journal
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError, RobotsDenied, SourceError
from stages.web.client import Answer, Client


@settings
class Config:
    """Which pages."""

    start: Annotated[tuple[str, ...], Field(min_length=1)]  # addresses of pages
    hosts: tuple[str, ...]  # that may be visited; none named: those of the start pages
    depth: Annotated[int, Field(ge=0)]  # links away from a start page
    max_pages: Annotated[int, Field(gt=0)]
    max_items: Annotated[int, Field(gt=0)]  # pictures and videos


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        name = hashlib.sha256(repr(config).encode()).hexdigest()[:16]
        journal = Journal(Client(visit.manners), machine.cache(f"crawl/web-{name}"), fresh_hours=visit.fresh_hours)
        return crawl(config, journal)

    return collect


def crawl(config: Config, journal: Journal) -> Iterator[Found | Missed]:
    """Breadth first from the start pages: every picture and video of allowed hosts, each address once.

    Raises:
        SourceError: when none of the start pages can be had.
    """
    hosts = set(config.hosts) or {urlsplit(url).netloc for url in config.start}
    waiting = list(dict.fromkeys(config.start))
    seen, shown, visited = set(waiting), set[str](), 0
    for depth in range(config.depth + 1):
        level, waiting = waiting, []
        for url in level[: config.max_pages - visited]:
            visited += 1
            page = _page(journal, url, hosts, must=url in config.start and len(config.start) == 1)
            if isinstance(page, Missed):
                yield page
                continue
            for picture in page.pictures:
                if picture.url not in shown and urlsplit(picture.url).netloc in hosts and len(shown) < config.max_items:
                    shown.add(picture.url)
                    yield _picture(journal, picture, url, page)
            if depth < config.depth:
                fresh = [link for link in page.links if link not in seen and urlsplit(link).netloc in hosts]
                seen.update(fresh)
                waiting += fresh


def _page(journal: Journal, url: str, hosts: Container[str], *, must: bool) -> pages.Page | Missed:
    try:
        answer = journal.get(url)
    except FetchError as error:
        if must:
            raise SourceError(
                f"{error}; it is the only start page: check crawl.sources.web.start and the network"
            ) from None
        return _missed(url, error)
    if urlsplit(answer.url).netloc not in hosts:
        return Missed(url=url, reason=f"redirects to {answer.url}, which is not of hosts", forbidden=False)
    if "html" not in answer.headers.get("content-type", "text/html"):
        return pages.Page(links=(), pictures=(), signals=())  # a link to a file shows nothing, and is no failure
    return pages.read(answer.body, answer.url, answer.headers)


def _picture(journal: Journal, picture: pages.Picture, page_url: str, page: pages.Page) -> Found | Missed:
    try:
        answer: Answer = journal.get(picture.url)
    except FetchError as error:
        return _missed(picture.url, error)
    return Found(
        url=picture.url,
        page=page_url,
        kind=picture.kind,
        alt=picture.alt,
        title=picture.title,
        author=picture.author,
        credit=picture.credit,
        licence_evidence=picture.licence_evidence,
        signals=(*page.signals, *pages.header_signals(answer.headers)),
        consent="",
        body=answer.body,
    )


def _missed(url: str, error: FetchError) -> Missed:
    return Missed(url=url, reason=str(error).removeprefix(f"{url}: "), forbidden=isinstance(error, RobotsDenied))
