"""What a web page says of the rights to the pictures that it shows.

Statements are read from JSON-LD and microdata (schema.org ImageObject and its kin), RDFa and ccREL, ``rel=license``
links and ``meta`` elements; values are kept raw. One that names a picture's address, or stands in its own ``figure``, is
about the picture; one about another address is about neither; all others are about the page.

It is done by hand: extruct, which reads these syntaxes too, raises on broken JSON-LD and on deeply nested pages, and
gives one heap for the page, in which a figure's licence and the page's cannot be told apart.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bs4 import BeautifulSoup, Tag

from stages.crawl.markup import attribute, plain, text
from stages.records import Evidence
from stages.web import addresses

LICENCE_METAS = ("dcterms.license", "dcterms.rights", "dc.rights", "license", "cc:license", "copyright", "rights")
AUTHOR_METAS = ("author", "dcterms.creator", "dc.creator")
MEDIA = ("ImageObject", "VideoObject", "Photograph")  # types of schema.org that describe one picture
PAGES = ("WebPage", "ImageGallery", "CollectionPage", "MediaGallery", "Article", "CreativeWork")  # or what shows it
ADDRESSES = ("contentUrl", "url", "@id", "thumbnailUrl")
LICENCE_FIELDS = {"license": "", "copyrightNotice": " copyrightNotice", "acquireLicensePage": " acquireLicensePage"}
RDFA = {  # terms as pages write them, without their prefix, and the field of schema.org that means the same
    "license": "license",
    "creator": "creator",
    "author": "creator",
    "attributionName": "creator",
    "title": "name",
    "name": "name",
}
MOST = 50  # statements on one picture that are kept; who makes more says nothing that can be relied on
LONGEST = 4000  # letters of a value that are kept: no licence is as long, and a page can be

Fields = Mapping[str, Sequence[str]]  # of one picture: a field of schema.org and its values


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of one picture, or of all on a page; empty where nothing is."""

    title: str
    caption: str
    author: str
    credit: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """All that one page says, by what it is about."""

    by_address: Mapping[str, Sequence[Said]]
    by_figure: Mapping[int, Sequence[Said]]  # by the id() of the ``figure``
    of_page: Said
    figures: Mapping[int, Tag | None]  # by the id() of an element: the ``figure`` that it stands in

    def about(self, element: Tag, shown: Sequence[str]) -> Said:
        """What is said of the picture that ``element`` shows from the addresses ``shown``; the nearest goes first."""
        named = [said for address in shown for said in self.by_address.get(address, ())]
        near = self.by_figure.get(id(self.figures.get(id(element))), ())
        return _joined([*named, *near, self.of_page])


def read(soup: BeautifulSoup, base: str) -> Statements:
    """The statements on the page ``soup``, whose addresses are relative to ``base``."""
    by_address: dict[str, list[Said]] = defaultdict(list)
    by_figure: dict[int, list[Said]] = defaultdict(list)
    here, of_page = addresses.joined(base, ""), list[Said]()
    for subjects, said in (*_json_ld(soup), *_microdata(soup)):
        for address in {addresses.joined(base, each) for each in subjects}:
            by_address[address].append(said)
        if not subjects:
            of_page.append(said)
    figures = _figures(soup)
    for subject, element, said in _marked_up(soup, figures):
        if subject and (address := addresses.joined(base, subject)) != here:
            by_address[address].append(said)
        elif subject is None and (figure := figures[id(element)]) is not None:
            by_figure[id(figure)].append(said)
        else:
            of_page.append(said)
    every = _joined([*map(_about_page, of_page), _metas(soup)])
    return Statements(by_address=by_address, by_figure=by_figure, of_page=every, figures=figures)


def _joined(every: Sequence[Said]) -> Said:
    """All evidence of ``every`` once, and of each text the first that there is."""

    def first(name: str) -> str:
        return next((value for each in every if (value := getattr(each, name))), "")

    return Said(
        title=first("title"),
        caption=first("caption"),
        author=first("author"),
        credit=first("credit"),
        evidence=_few(tuple(dict.fromkeys(one for each in every for one in each.evidence))),
    )


def _few(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """``evidence``, or of very much the first, and one that stands for the rest and is known as no licence."""
    if len(evidence) <= MOST:
        return evidence
    rest = Evidence(where="page", raw=f"{len(evidence) - MOST + 1} more statements", scope="picture")
    return (*evidence[: MOST - 1], rest)


def _about_page(said: Said) -> Said:
    """``said``, of a page: its statements hold for each picture, its title and author are not theirs."""
    evidence = tuple(Evidence(where=each.where, raw=each.raw, scope="page") for each in said.evidence)
    return Said(title="", caption="", author="", credit="", evidence=evidence)


def _said(where: str, fields: Fields) -> Said:
    """What ``fields`` say of one picture."""
    evidence = [
        Evidence(where=where + kind, raw=raw[:LONGEST], scope="picture")
        for name, kind in LICENCE_FIELDS.items()
        for raw in fields.get(name, ())
        if raw
    ]
    return Said(
        title=_first(fields, "name"),
        caption=_first(fields, "caption"),
        author=", ".join(dict.fromkeys(name for name in fields.get("creator", ()) if name))[:LONGEST],
        credit=_first(fields, "creditText"),
        evidence=tuple(evidence),
    )


def _first(fields: Fields, name: str) -> str:
    return next((value for value in fields.get(name, ()) if value), "")[:LONGEST]


# JSON-LD


def _json_ld(soup: BeautifulSoup) -> Iterator[tuple[list[str], Said]]:
    """Each object that describes a picture, with its addresses, and each page's, without one."""
    objects = list(_objects(soup))
    names = {each["@id"]: each["name"] for each in objects if isinstance(each.get("@id"), str) and each.get("name")}
    for each in objects:
        types = {plain(kind).rsplit("/", 1)[-1].rsplit(":", 1)[-1] for kind in _listed(each.get("@type"))}
        fields = {name: _values(each.get(name), ("@id", "url", "name"), {}) for name in LICENCE_FIELDS}
        if addresses := [address for key in ADDRESSES for address in _values(each.get(key), (), {})]:
            fields |= {name: _values(each.get(name), ("name",), names) for name in ("name", "caption", "creator")}
            fields |= {"creditText": _values(each.get("creditText"), (), {})}
        if types & set(MEDIA) and addresses:
            yield addresses, _said("json-ld", fields)
        elif types & set(PAGES):
            yield [], _said("json-ld", fields)


def _objects(soup: BeautifulSoup) -> Iterator[Mapping[str, Any]]:
    """All JSON-LD objects, however nested; scripts that are no JSON say nothing."""
    for script in soup.find_all("script", type="application/ld+json"):
        try:
            waiting: list[Any] = [json.loads(script.string or "")]
        except (ValueError, RecursionError):  # no JSON, a number of too many digits, or too deep
            continue
        while waiting:
            each = waiting.pop()
            if isinstance(each, list):
                waiting += reversed(each)
            elif isinstance(each, dict):
                yield each
                waiting += reversed(each.values())


def _values(value: Any, keys: Sequence[str], names: Mapping[str, Any]) -> list[str]:
    """``value`` as texts: itself, each of a list, or of an object the first of ``keys``, else what its id ``names``."""
    texts = []
    for each in _listed(value):
        if isinstance(each, dict):
            found = next((each[key] for key in keys if isinstance(each.get(key), str)), None)
            each = names.get(plain(each.get("@id"))) if found is None else found  # noqa: PLW2901 - the same, as text
        if isinstance(each, str):
            texts.append(plain(each).strip())
    return texts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# Microdata


def _microdata(soup: BeautifulSoup) -> Iterator[tuple[list[str], Said]]:
    """Each item that describes a picture, with its addresses."""
    items: dict[int, dict[str, list[Tag]]] = {}
    owner: dict[int, int] = {}  # of an element: the item that its children belong to, both by id()
    found: list[Tag] = []
    for element in soup.find_all(True):
        above = owner.get(id(element.parent), 0)
        owner[id(element)] = above
        for name in attribute(element, "itemprop").split() if above in items else ():
            items[above].setdefault(name, []).append(element)
        if element.has_attr("itemscope"):
            owner[id(element)] = id(element)
            items[id(element)] = {}
            found.append(element)
    for item in found:
        fields = {name: [_property(each, items) for each in inside] for name, inside in items[id(item)].items()}
        addresses = [address for key in ADDRESSES for address in fields.get(key, []) if address]
        if attribute(item, "itemtype").rsplit("/", 1)[-1] in MEDIA and addresses:
            yield addresses, _said("microdata", fields)


def _property(element: Tag, items: Mapping[int, Mapping[str, Sequence[Tag]]]) -> str:
    """The value of an ``itemprop`` or ``property``; of an item inside, its name."""
    for name in ("content", "href", "resource", "src"):
        if element.has_attr(name):
            return attribute(element, name)
    names = items.get(id(element), {}).get("name", ())
    return text(names[0] if names else element)


# Links and RDFa


def _figures(soup: BeautifulSoup) -> dict[int, Tag | None]:
    figures: dict[int, Tag | None] = {}
    for element in soup.find_all(True):
        figures[id(element)] = element if element.name == "figure" else figures.get(id(element.parent))
    return figures


def _marked_up(soup: BeautifulSoup, figures: Mapping[int, Tag | None]) -> Iterator[tuple[str | None, Tag, Said]]:
    """Each statement of a link or a property, the address that it is about (``None``: none is named), and its element."""
    subjects: dict[int, str | None] = {}
    for element in soup.find_all(True):
        subject = subjects[id(element)] = _subject(element, subjects.get(id(element.parent)))
        inside = figures[id(element)] is not None
        for name, value in _terms(element, named=subject is not None, inside=inside):
            yield subject, element, _said("rel=license" if subject is None else "rdfa", {name: [value]})


def _subject(element: Tag, above: str | None) -> str | None:
    """The address that statements in ``element`` are about, as RDFa has it; ``None`` where none is named."""
    if element.has_attr("about"):
        return attribute(element, "about")
    if element.has_attr("typeof") and element.has_attr("resource"):
        return attribute(element, "resource")
    return above


def _terms(element: Tag, *, named: bool, inside: bool) -> Iterator[tuple[str, str]]:
    """Fields and values that ``element`` states: licences by ``rel``; in a figure authors; where RDFa names whom, all."""
    target = attribute(element, "href") or attribute(element, "resource")
    for word in attribute(element, "rel").split():
        field = RDFA.get(word.rsplit(":", 1)[-1])
        if field == "license" and target:
            yield field, target
        elif field == "creator" and (inside or named):
            yield field, text(element)
    for word in attribute(element, "property").split() if named else ():
        if field := RDFA.get(word.rsplit(":", 1)[-1].rsplit("/", 1)[-1].rsplit("#", 1)[-1]):
            yield field, _property(element, {})


# Meta elements


def _metas(soup: BeautifulSoup) -> Said:
    """What the head says of the page, and its title and author, for want of better."""
    metas: dict[str, str] = {}
    for meta in soup.find_all("meta", content=True):
        name = (attribute(meta, "name") or attribute(meta, "property")).lower()
        metas.setdefault(name, attribute(meta, "content"))
    return Said(
        title=text(soup.title) or metas.get("og:title", ""),
        caption="",
        author=next((metas[name] for name in AUTHOR_METAS if metas.get(name)), ""),
        credit="",
        evidence=tuple(
            Evidence(where=f"meta {name}", raw=metas[name][:LONGEST], scope="page")
            for name in LICENCE_METAS
            if metas.get(name)
        ),
    )
