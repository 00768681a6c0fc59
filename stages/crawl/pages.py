"""What a web page shows and says: links, pictures, videos, and the statements on the rights to each.

Opt-outs are read from ``meta name=robots`` and the header X-Robots-Tag, and kept raw; licences, authors and the rest by
``statements``.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urldefrag, urlsplit

from bs4 import BeautifulSoup, Tag, UnusualUsageWarning
from bs4.exceptions import ParserRejectedMarkup

from stages.crawl import statements
from stages.crawl.markup import absolute as _absolute
from stages.crawl.markup import attribute as _attribute
from stages.records import Evidence, Signal

NO_TRAINING = {"noai", "noimageai", "noml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture or video that a page shows."""

    url: str
    kind: Literal["image", "video"]
    alt: str
    title: str
    author: str
    credit: str  # the line that the source asks for
    licence_evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one page holds; addresses are absolute and in the order of the page, each once."""

    links: tuple[str, ...]
    pictures: tuple[Picture, ...]
    signals: tuple[Signal, ...]


def read(body: bytes, url: str, headers: Mapping[str, str]) -> Page:
    """The page at ``url``; broken HTML and broken JSON-LD are read as far as they can be."""
    soup = _parsed(body)
    base = _absolute(url, _attribute(soup.find("base"), "href")) or url
    said = statements.read(soup, base)
    links = [urldefrag(_absolute(base, _attribute(link, "href"))).url for link in soup.find_all("a", href=True)]
    pictures = {
        picture.url: picture
        for element, source, kind in _media(soup)
        if (picture := _picture(said, element, _absolute(base, source), kind)).url
    }
    return Page(
        links=tuple(dict.fromkeys(link for link in links if urlsplit(link).scheme in ("http", "https"))),
        pictures=tuple(pictures.values()),
        signals=(*_robots_metas(soup), *header_signals(headers)),
    )


def header_signals(headers: Mapping[str, str]) -> tuple[Signal, ...]:
    """The opt-outs of an answer's X-Robots-Tag, whatever crawler they are addressed to."""
    raw = headers.get("x-robots-tag", "")
    words = {word.split(":")[-1].strip().lower() for word in raw.split(",")}
    if not words & NO_TRAINING:
        return ()
    return (Signal(layer="http", kind="x-robots-tag", raw=raw, verdict="deny", category="train-any", scope="picture"),)


def _parsed(body: bytes) -> BeautifulSoup:
    """The tree of ``body``; an empty one where the parser gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualUsageWarning)  # XHTML, or a page of a few words: no news for the user
        try:
            return BeautifulSoup(body, "html.parser")
        except ParserRejectedMarkup:
            return BeautifulSoup(b"", "html.parser")


def _media(soup: BeautifulSoup) -> Iterator[tuple[Tag, str, Literal["image", "video"]]]:
    for element in soup.find_all(["img", "video"]):
        if element.name == "img":
            if source := _attribute(element, "src"):
                yield element, source, "image"
        elif source := _attribute(element, "src") or _attribute(element.find("source"), "src"):
            yield element, source, "video"


def _picture(statements_on: statements.Statements, element: Tag, url: str, kind: Literal["image", "video"]) -> Picture:
    said = statements_on.about(element, url)
    return Picture(
        url=urldefrag(url).url if urlsplit(url).scheme in ("http", "https") else "",
        kind=kind,
        alt=_attribute(element, "alt") or _attribute(element, "title") or said.caption,
        title=said.title,
        author=said.author,
        credit=said.credit,
        licence_evidence=said.evidence,
    )


def _robots_metas(soup: BeautifulSoup) -> Iterator[Signal]:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        words = {word.strip().lower() for word in _attribute(meta, "content").split(",")}
        if _attribute(meta, "name").lower().endswith("robots") and words & NO_TRAINING:
            raw = _attribute(meta, "content")
            yield Signal(layer="html", kind="meta robots", raw=raw, verdict="deny", category="train-any", scope="page")
