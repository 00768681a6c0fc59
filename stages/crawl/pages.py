"""What a web page shows and says: links, pictures, videos, and the statements on the rights to each.

Statements are read from JSON-LD (schema.org ImageObject and VideoObject), ``rel=license`` links and ``meta`` elements;
opt-outs from ``meta name=robots`` and the header X-Robots-Tag. Values are kept raw. A statement inside the picture's own
``figure``, or in the JSON-LD object that names its address, is about the picture; all others are about the page.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urldefrag, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag, UnusualUsageWarning
from bs4.exceptions import ParserRejectedMarkup

from stages.records import Evidence, Signal

LICENCE_METAS = ("dcterms.license", "dcterms.rights", "dc.rights", "license")
AUTHOR_METAS = ("author", "dcterms.creator", "dc.creator")
NO_TRAINING = {"noai", "noimageai", "noml"}


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


def read(body: bytes, url: str, headers: Mapping[str, str]) -> Page:
    """The page at ``url``; broken HTML and broken JSON-LD are read as far as they can be."""
    soup = _parsed(body)
    base = _absolute(url, _attribute(soup.find("base"), "href")) or url
    objects = {_absolute(base, str(each["contentUrl"])): each for each in _media_objects(soup)}
    links = [urldefrag(_absolute(base, _attribute(link, "href"))).url for link in soup.find_all("a", href=True)]
    pictures = {
        picture.url: picture
        for element, source, kind in _media(soup)
        if (picture := _picture(soup, element, _absolute(base, source), kind, objects)).url
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


def _absolute(base: str, address: str) -> str:
    """``address`` as seen from ``base``; empty when it is none, as ``http://[``."""
    try:
        return urljoin(base, address)
    except ValueError:
        return ""


def _media(soup: BeautifulSoup) -> Iterator[tuple[Tag, str, Literal["image", "video"]]]:
    for element in soup.find_all(["img", "video"]):
        if element.name == "img":
            if source := _attribute(element, "src"):
                yield element, source, "image"
        elif source := _attribute(element, "src") or _attribute(element.find("source"), "src"):
            yield element, source, "video"


def _picture(
    soup: BeautifulSoup, element: Tag, url: str, kind: Literal["image", "video"], objects: Mapping[str, Any]
) -> Picture:
    described = objects.get(url, {})
    figure = element.find_parent("figure")
    return Picture(
        url=urldefrag(url).url if urlsplit(url).scheme in ("http", "https") else "",
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


def _robots_metas(soup: BeautifulSoup) -> Iterator[Signal]:
    for meta in soup.find_all("meta", attrs={"name": True, "content": True}):
        words = {word.strip().lower() for word in _attribute(meta, "content").split(",")}
        if _attribute(meta, "name").lower().endswith("robots") and words & NO_TRAINING:
            raw = _attribute(meta, "content")
            yield Signal(layer="html", kind="meta robots", raw=raw, verdict="deny", category="train-any", scope="page")


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
