"""What a web page shows and says: links, pictures, videos, and the statements on the rights to each.

Opt-outs are read from ``meta`` elements, links to an RSL licence, and headers, and kept raw: see ``signals``; licences,
authors and the rest by ``statements``.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bs4 import BeautifulSoup, Tag, UnusualUsageWarning
from bs4.exceptions import ParserRejectedMarkup

from stages.crawl import signals, statements
from stages.crawl.markup import attribute
from stages.records import Evidence, Signal
from stages.web import addresses

LAZY = ("data-src", "data-original", "data-lazy-src")  # where scripts find the address that they show later


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
    tdm: str = ""  # what it says of a reservation, raw
    rsl: tuple[str, ...] = ()  # addresses of RSL licences that it links to


def read(body: bytes, url: str, headers: Mapping[str, str], *, agent: str = "") -> Page:
    """The page at ``url``; broken HTML and broken JSON-LD are read as far as they can be.

    Of opt-outs that name a crawler those that name ``agent`` count.
    """
    soup = _parsed(body)
    base = addresses.joined(url, attribute(soup.find("base"), "href")) or url
    said = statements.read(soup, base)
    links = [addresses.joined(base, attribute(link, "href")) for link in soup.find_all("a", href=True)]
    pictures = {
        picture.url: picture
        for element, sources, kind in _media(soup)
        if (picture := _picture(said, element, [addresses.joined(base, source) for source in sources], kind)).url
    }
    return Page(
        links=tuple(dict.fromkeys(filter(None, links))),
        pictures=tuple(pictures.values()),
        signals=(*_robots_metas(soup, agent), *signals.of_headers(headers, agent=agent, scope="page")),
        tdm=_meta(soup, "tdm-reservation"),
        rsl=tuple(attribute(link, "href") for link in soup.find_all("link", rel="license", type=signals.MEDIA_TYPE)),
    )


def _parsed(body: bytes) -> BeautifulSoup:
    """The tree of ``body``; an empty one where the parser gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualUsageWarning)  # XHTML, or a page of a few words: no news for the user
        try:
            return BeautifulSoup(body, "html.parser")
        except ParserRejectedMarkup:
            return BeautifulSoup(b"", "html.parser")


def _media(soup: BeautifulSoup) -> Iterator[tuple[Tag, list[str], Literal["image", "video"]]]:
    """The elements that show something, each with the addresses it is shown from, the best first."""
    for element in soup.find_all(["img", "video"]):
        if element.name == "img":
            if sources := _image_sources(element):
                yield element, sources, "image"
        elif source := attribute(element, "src") or attribute(element.find("source"), "src"):
            yield element, [source], "video"


def _image_sources(image: Tag) -> list[str]:
    """All addresses of one picture: the widest of its ``srcset`` first, then what lazy pages load later, then ``src``."""
    picture = image.find_parent("picture")
    owners = [image, *(picture.find_all("source") if picture else ())]
    sets = [attribute(owner, name) for owner in owners for name in ("srcset", "data-srcset")]
    sized = [each for text in sets for each in _candidates(text)]
    best = [url for _, url in sorted(sized, key=lambda each: -each[0])]
    plain = [attribute(image, name) for name in (*LAZY, "src")]
    return list(dict.fromkeys(url for url in (*best, *plain) if url and not url.startswith("data:")))


def _candidates(srcset: str) -> Iterator[tuple[float, str]]:
    """Width or density, and address, of each candidate of a ``srcset``; 1 where neither is given."""
    waiting = ""
    for token in srcset.split():
        if waiting:
            size, _, rest = token.partition(",")
            found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)[wx]", size)
            yield float(found[1]) if found else 1.0, waiting
            waiting = rest
        elif token.endswith(","):
            yield 1.0, token.strip(",")
        else:
            waiting = token.lstrip(",")
    if waiting:
        yield 1.0, waiting


def _picture(
    statements_on: statements.Statements, element: Tag, urls: list[str], kind: Literal["image", "video"]
) -> Picture:
    said = statements_on.about(element, urls)
    return Picture(
        url=urls[0],
        kind=kind,
        alt=attribute(element, "alt") or attribute(element, "title") or said.caption,
        title=said.title,
        author=said.author,
        credit=said.credit,
        licence_evidence=said.evidence,
    )


def _robots_metas(soup: BeautifulSoup, agent: str) -> Iterator[Signal]:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        yield from signals.meta_robots(attribute(meta, "name"), attribute(meta, "content"), agent=agent)


def _meta(soup: BeautifulSoup, name: str) -> str:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        if attribute(meta, "name").lower() == name:
            return attribute(meta, "content")
    return ""
