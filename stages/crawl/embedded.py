"""What a picture's own file says of the rights to it: XMP, IPTC-IIM, and C2PA's word on training.

Files come from strangers: XML with a document type is not read at all, every size is bounded, and what cannot be read
says nothing, or "unknown" where it would have been about training. It never says "allow".
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stages.crawl import containers, manifests
from stages.records import Evidence, Signal

LONGEST = 4000  # letters of a value that are kept
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_NAMESPACES = {
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://creativecommons.org/ns#": "cc",
    "http://web.resource.org/cc/": "cc",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.useplus.org/ldf/xmp/1.0/": "plus",
    "http://ns.useplus.org/LDF/1.0/": "plus",
    "http://www.w3.org/ns/tdmrep/": "tdm",
}
LICENCES = ("xmpRights:WebStatement", "xmpRights:UsageTerms", "cc:license", "dcterms:license", "dc:rights")
AUTHORS = ("dc:creator", "cc:attributionName")
# https://ns.useplus.org/LDF/ldf-XMPSpecification, DataMining, and how far each value reaches. Another that begins as
# a prohibition is one.
_MINING: dict[str, tuple[Literal["allow", "deny", "unknown"], Literal["train-generative", "train-any", "tdm"]]] = {
    "DMI-UNSPECIFIED": ("unknown", "tdm"),
    "DMI-ALLOWED": ("allow", "tdm"),
    "DMI-PROHIBITED": ("deny", "tdm"),
    "DMI-PROHIBITED-AIMLTRAINING": ("deny", "train-any"),
    "DMI-PROHIBITED-GENAIMLTRAINING": ("deny", "train-generative"),
    "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING": ("deny", "tdm"),
    "DMI-PROHIBITED-SEECONSTRAINT": ("deny", "tdm"),
    "DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR": ("deny", "tdm"),
    "DMI-PROHIBITED-SEELINKEDRIGHTSEXPR": ("deny", "tdm"),
}
_IIM = {5: "title", 80: "author", 110: "credit", 116: "copyright"}  # data sets of record 2: IPTC-IIM 4.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What one file says; empty where it says nothing."""

    title: str
    author: str
    credit: str
    evidence: tuple[Evidence, ...]
    signals: tuple[Signal, ...]


def read(body: bytes) -> Embedded:
    """What the file ``body`` says of itself; XMP goes before IPTC-IIM, its successor before it."""
    blocks = containers.read(body)
    packets = [_properties(packet) for packet in blocks.xmp]
    values = [pair for each in packets if each for pair in each]
    iim = dict(_records(blocks.iim))
    evidence = [_evidence(f"xmp {name}", value) for name, value in values if name in LICENCES and value]
    evidence += [_evidence("iptc copyright", iim["copyright"])] if "copyright" in iim else []
    signals = [signal for name, value in values if (signal := _signal(name, value))]
    if any(each is None and b"DataMining" in raw for raw, each in zip(blocks.xmp, packets, strict=True)):
        signals.append(_said("plus:DataMining", "cannot be read", "unknown", "tdm"))
    return Embedded(
        title=_first(values, ("dc:title",)) or iim.get("title", ""),
        author=_first(values, AUTHORS) or iim.get("author", ""),
        credit=_first(values, ("photoshop:Credit",)) or iim.get("credit", ""),
        evidence=tuple(dict.fromkeys(evidence)),
        signals=tuple(dict.fromkeys((*signals, *manifests.signals(blocks.manifests)))),
    )


def _evidence(where: str, raw: str) -> Evidence:
    return Evidence(where=where, raw=raw[:LONGEST], scope="picture")


def _first(values: list[tuple[str, str]], names: tuple[str, ...]) -> str:
    return next((value for each, value in values if each in names and value), "")[:LONGEST]


def _properties(packet: bytes) -> list[tuple[str, str]] | None:
    """Name, as ``dc:rights``, and value of each property of the file itself; ``None`` when ``packet`` is no XMP."""
    if b"<!" in packet.replace(b"<!--", b""):  # a document type can make a few bytes a billion
        return None
    try:
        root = ET.fromstring(packet)  # noqa: S314 - it has no document type
    except (ET.ParseError, ValueError, LookupError):  # no XML, or of an encoding that is none
        return None
    found = []
    for graph in root.iter(f"{_RDF}RDF"):
        for description in graph.findall(f"{_RDF}Description"):  # not those inside: they are of other pictures
            found += [(_name(name), value.strip()) for name, value in description.attrib.items()]
            found += [(_name(each.tag), text) for each in description for text in _texts(each)]
    return [(name, value) for name, value in found if name]


def _name(tag: str) -> str:
    """``{http://purl.org/dc/elements/1.1/}rights`` as ``dc:rights``; empty in a namespace of no interest."""
    space, _, name = tag.removeprefix("{").partition("}")
    return f"{_NAMESPACES[space]}:{name}" if space in _NAMESPACES else ""


def _texts(element: ET.Element) -> Iterator[str]:
    """The values of a property: each of a list, of translations only the default."""
    if (resource := element.get(f"{_RDF}resource")) is not None:
        yield resource.strip()
        return
    items = element.findall(f"*/{_RDF}li")
    if element.find(f"{_RDF}Alt") is not None:
        items = sorted(items, key=lambda item: item.get(_LANGUAGE) != "x-default")[:1]
    for each in items or [element]:
        yield "".join(each.itertext()).strip()


def _signal(name: str, value: str) -> Signal | None:
    """The signal that a property is; ``None`` when it is none."""
    if name == "plus:DataMining":
        term = value.rstrip("/").rsplit("/", 1)[-1].upper()
        other: Literal["deny", "unknown"] = "deny" if term.startswith("DMI-PROHIBITED") else "unknown"
        return _said(name, value, *_MINING.get(term, (other, "tdm")))
    if name == "tdm:reservation":
        reserved: dict[str, Literal["allow", "deny"]] = {"1": "deny", "0": "allow"}
        return _said("tdmrep", value, reserved.get(value, "unknown"), "tdm")
    return None


def _said(
    kind: str,
    raw: str,
    verdict: Literal["allow", "deny", "unknown"],
    category: Literal["train-generative", "train-any", "tdm"],
) -> Signal:
    return Signal(layer="file", kind=kind, raw=raw[:LONGEST], verdict=verdict, category=category, scope="picture")


def _records(block: bytes) -> Iterator[tuple[str, str]]:
    """What records of IPTC-IIM say: each has a mark, the record's and the data set's number, a length and a value."""
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        record, number, length = block[at + 1], block[at + 2], int.from_bytes(block[at + 3 : at + 5], "big")
        value = block[at + 5 : at + 5 + length]
        if length >= 0x8000 or len(value) < length:  # of extended length, or cut off
            return
        if record == 2 and number in _IIM:
            yield _IIM[number], _decoded(value).strip("\0 ")[:LONGEST]
        at += 5 + length


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
