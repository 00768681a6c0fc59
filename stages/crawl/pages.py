"""What a web page shows and says: links, pictures, videos, and the statements on the rights to each.

Statements are read from JSON-LD (schema.org ImageObject and VideoObject), ``rel=license`` links and ``meta`` elements;
opt-outs from ``meta`` elements, links to an RSL licence, and headers; see ``signals``. Values are kept raw. A statement inside the picture's own
``figure``, or in the JSON-LD object that names its address, is about the picture; all others are about the page.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bs4 import BeautifulSoup, Tag, UnusualUsageWarning
from bs4.exceptions import ParserRejectedMarkup

from stages.crawl import signals
from stages.records import Evidence, Signal
from stages.web import addresses

LICENCE_METAS = ("dcterms.license", "dcterms.rights", "dc.rights", "license")
LAZY = ("data-src", "data-original", "data-lazy-src")  # where scripts find the address that they show later
AUTHOR_METAS = ("author", "dcterms.creator", "dc.creator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture or video that a page shows."""

    url: str
    kind: Literal["image", "video"]
    alt: str
    title: str
    author: str
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
    base = addresses.joined(url, _attribute(soup.find("base"), "href")) or url
    objects = {addresses.joined(base, str(each["contentUrl"])): each for each in _media_objects(soup)}
    links = [addresses.joined(base, _attribute(link, "href")) for link in soup.find_all("a", href=True)]
    pictures = {
        picture.url: picture
        for element, sources, kind in _media(soup)
        if (
            picture := _picture(soup, element, [addresses.joined(base, source) for source in sources], kind, objects)
        ).url
    }
    return Page(
        links=tuple(dict.fromkeys(filter(None, links))),
        pictures=tuple(pictures.values()),
        signals=(*_robots_metas(soup, agent), *signals.of_headers(headers, agent=agent, scope="page")),
        tdm=_meta(soup, ("tdm-reservation",)),
        rsl=tuple(_attribute(link, "href") for link in soup.find_all("link", rel="license", type=signals.MEDIA_TYPE)),
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
        elif source := _attribute(element, "src") or _attribute(element.find("source"), "src"):
            yield element, [source], "video"


def _image_sources(image: Tag) -> list[str]:
    """All addresses of one picture: the widest of its ``srcset`` first, then what lazy pages load later, then ``src``."""
    picture = image.find_parent("picture")
    owners = [image, *(picture.find_all("source") if picture else ())]
    sets = [_attribute(owner, name) for owner in owners for name in ("srcset", "data-srcset")]
    sized = [each for text in sets for each in _candidates(text)]
    best = [url for _, url in sorted(sized, key=lambda each: -each[0])]
    plain = [_attribute(image, name) for name in (*LAZY, "src")]
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
    soup: BeautifulSoup, element: Tag, urls: list[str], kind: Literal["image", "video"], objects: Mapping[str, Any]
) -> Picture:
    described: Mapping[str, Any] = next((objects[each] for each in urls if each in objects), {})
    figure = element.find_parent("figure")
    return Picture(
        url=urls[0],
        kind=kind,
        alt=_attribute(element, "alt") or _attribute(element, "title") or _plain(described.get("caption")),
        title=_plain(described.get("name")) or _text(soup.title),
        author=_name(described.get("creator"))
        or _text(figure and figure.find(rel="author"))
        or _meta(soup, AUTHOR_METAS),
        licence_evidence=tuple(_licences(soup, figure, described)),
    )


def _licences(soup: BeautifulSoup, figure: Tag | None, described: Mapping[str, Any]) -> Iterator[Evidence]:
    if described.get("license"):
        yield Evidence(where="json-ld", raw=_plain(described["license"]), scope="picture")
    for link in soup.find_all(["a", "link"], rel="license", href=True):
        owner = link.find_parent("figure")
        if owner is figure or owner is None:
            scope: Literal["picture", "page"] = "page" if owner is None else "picture"
            yield Evidence(where="rel=license", raw=_attribute(link, "href"), scope=scope)
    for name in LICENCE_METAS:
        if value := _meta(soup, (name,)):
            yield Evidence(where=f"meta {name}", raw=value, scope="page")


def _robots_metas(soup: BeautifulSoup, agent: str) -> Iterator[Signal]:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        yield from signals.meta_robots(_attribute(meta, "name"), _attribute(meta, "content"), agent=agent)


def _media_objects(soup: BeautifulSoup) -> Iterator[Mapping[str, Any]]:
    """The JSON-LD objects that describe a picture or video; scripts that are no JSON say nothing."""
    for script in soup.find_all("script", type="application/ld+json"):
        try:
            waiting: list[Any] = [json.loads(script.string or "")]
        except (ValueError, RecursionError):  # no JSON, a number of too many digits, or too deep
            continue
        while waiting:
            each = waiting.pop()
            if isinstance(each, list):
                waiting += each
            elif isinstance(each, dict):
                if each.get("@type") in ("ImageObject", "VideoObject") and each.get("contentUrl"):
                    yield each
                waiting += each.values()


def _meta(soup: BeautifulSoup, names: tuple[str, ...]) -> str:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        if _attribute(meta, "name").lower() in names:
            return _attribute(meta, "content")
    return ""


def _attribute(element: Any, name: str) -> str:
    """The attribute ``name`` as text; empty when there is no such element or attribute."""
    value = element.get(name) if isinstance(element, Tag) else None
    return " ".join(value) if isinstance(value, list) else (value or "").strip()


def _name(creator: Any) -> str:
    return _plain(creator.get("name") if isinstance(creator, dict) else creator)


def _plain(value: Any) -> str:
    """``value`` as text that UTF-8 can hold: JSON's escapes can name half a surrogate pair."""
    return str(value or "").encode(errors="replace").decode()


def _text(element: Any) -> str:
    return element.get_text(" ", strip=True) if isinstance(element, Tag) else ""
