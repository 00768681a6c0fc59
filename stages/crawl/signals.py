"""Machine-readable statements on what may be done with a picture: one function for each kind, values kept raw.

    kind                 where it stands                          what it speaks of
    content-usage        robots.txt, header                       train-ai (generative), search
    content-signal       robots.txt                               ai-train, search
    x-robots-tag         header                                   noai, noimageai, noml; noindex, noimageindex, none
    meta robots          html                                     the same words
    tdmrep               /.well-known/tdmrep.json, header, html   text and data mining
    ai.txt               /ai.txt                                  training
    rsl                  robots.txt, header, html, an XML file    training

They open no connection and never raise: what cannot be read is ``unknown``, as their drafts ask. Statements inside a
picture's own file are read elsewhere.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import http_sf
from bs4 import BeautifulSoup, Tag

from stages.records import Signal
from stages.web import robots

Layer = Literal["site", "http", "html", "file", "registry"]
Scope = Literal["picture", "page", "site"]
Verdict = Literal["allow", "deny", "unknown"]
Category = Literal["train-generative", "train-any", "tdm", "index"]

NO_TRAINING = {"noai", "noimageai", "noml"}
NO_INDEX = {"noindex", "noimageindex", "none"}
VALUED = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}  # "word: value", and no agent
USAGES: Mapping[str, Category] = {"train-ai": "train-generative", "search": "index"}  # draft-ietf-aipref-vocab
CONTENT_SIGNALS: Mapping[str, Category] = {"ai-train": "train-any", "search": "index"}
TRAINING_USES = {"all", "ai-all", "ai-train", "train-ai", "ai-generative", "train-genai"}  # RSL, and its older words
MEDIA_TYPE = "application/rsl+xml"


def content_usage(raw: str, *, layer: Layer, scope: Scope) -> tuple[Signal, ...]:
    """The preferences of one ``Content-Usage`` header or rule: a dictionary of structured fields, RFC 9651.

    Only the tokens ``y`` and ``n`` say anything, of a repeated key the last counts, and a field that breaks the syntax
    says nothing at all; draft-ietf-aipref-vocab, section 6.
    """
    try:
        found: Any = http_sf.parse(raw.encode(), tltype="dictionary")
    except (http_sf.StructuredFieldError, ValueError):
        found = {}
    return tuple(
        _signal("content-usage", raw, layer, scope, _token_verdict(found.get(key)), category)
        for key, category in USAGES.items()
        if key in raw
    )


def content_signal(raw: str, *, scope: Scope) -> tuple[Signal, ...]:
    """The preferences of one ``Content-Signal`` line: ``search=yes, ai-train=no``."""
    pairs = [part.strip().lower().partition("=") for part in raw.split(",")]
    said = {key.strip(): value.strip() for key, _, value in pairs}
    words: dict[str, Verdict] = {"yes": "allow", "no": "deny"}
    return tuple(
        _signal("content-signal", raw, "site", scope, words.get(said[key], "unknown"), category)
        for key, category in CONTENT_SIGNALS.items()
        if key in said
    )


def x_robots_tag(raw: str, *, agent: str, scope: Scope) -> tuple[Signal, ...]:
    """The refusals of the ``X-Robots-Tag`` headers of one answer, a line each, that speak to all or to ``agent``."""
    words = {word for line in raw.split("\n") for whom, word in _directives(line) if whom in ("", "*", agent.lower())}
    return _refusals("x-robots-tag", raw, words, "http", scope)


def meta_robots(name: str, content: str, *, agent: str) -> tuple[Signal, ...]:
    """The refusals of one ``meta`` element whose name is ``robots`` or ``agent``."""
    if name.strip().lower() not in ("robots", agent.lower()):
        return ()
    words = {word.strip().lower() for word in content.split(",")}
    return _refusals("meta robots", content, words, "html", "page")


def tdm_rule(content: bytes, target: str) -> tuple[str, str] | None:
    """What ``tdmrep.json`` says of the path ``target``: its reservation as text, and the location that was matched.

    The first location that matches counts; a value other than 0 and 1 counts as none. TDM Reservation Protocol,
    section 4.
    """
    try:
        rules = json.loads(content)
    except (ValueError, RecursionError):
        return None
    for rule in rules if isinstance(rules, list) else []:
        location = rule.get("location") if isinstance(rule, dict) else None
        if isinstance(location, str) and location and robots.matches(location, target):
            value = rule.get("tdm-reservation")
            return (str(value), location) if type(value) is int and value in (0, 1) else None
    return None


def tdm(*, file: tuple[str, str] | None, header: str, meta: str, scope: Scope) -> tuple[Signal, ...]:
    """The TDM reservation of one address. Header beats file and ``meta`` beats header; what was beaten says nothing."""
    places: list[tuple[Layer, str, Scope]] = []
    if file:
        places.append(("site", file[0], _wide(file[1], scope)))
    if header.strip():
        places.append(("http", header.strip(), scope))
    if meta.strip():
        places.append(("html", meta.strip(), scope))
    last = max((n for n, (_, raw, _) in enumerate(places) if raw in ("0", "1")), default=-1)
    words: dict[str, Verdict] = {"1": "deny", "0": "allow"}
    return tuple(
        _signal("tdmrep", raw, layer, each, words[raw] if number == last else "unknown", "tdm")
        for number, (layer, raw, each) in enumerate(places)
    )


def ai_txt(content: bytes, target: str, *, agent: str, scope: Scope) -> tuple[Signal, ...]:
    """What ``ai.txt`` (Spawning) says of ``target``: the syntax of robots.txt, with patterns as ``*.jpg``."""
    rule = robots.parse(content, agent).decisive(target)
    if rule is None:
        return ()
    allowed, pattern = rule
    raw = f"{'Allow' if allowed else 'Disallow'}: {pattern}"
    return (_signal("ai.txt", raw, "site", _wide(pattern, scope), "allow" if allowed else "deny", "train-any"),)


def rsl(address: str, content: bytes, target: str, *, layer: Layer, scope: Scope) -> tuple[Signal, ...]:
    """What the RSL licence at ``address`` says of training with ``target``; ``content`` is its XML, or nothing where it was not had.

    A prohibited use is a refusal, a permitted one that asks for no payment a permission; all else is unknown.
    """
    verdict: Verdict = "unknown"
    for licence in _licences(content, target):
        banned, granted = (_usages(licence, name) for name in ("prohibits", "permits"))
        payments = [payment.get("type", "purchase") for payment in licence.find_all("payment")]
        if banned & TRAINING_USES:
            verdict = "deny"
        elif granted & TRAINING_USES and verdict == "unknown" and all(each == "free" for each in payments):
            verdict = "allow"
    return (_signal("rsl", address, layer, scope, verdict, "train-any"),)


def rsl_links(headers: Mapping[str, str]) -> list[str]:
    """The addresses of RSL licences in a ``Link`` header; RFC 8288."""
    links = re.findall(r"<([^>]*)>([^<]*)", headers.get("link", ""))
    return [
        url.strip() for url, rest in links if MEDIA_TYPE in rest.lower() and re.search(r'rel="?license\b', rest.lower())
    ]


def of_headers(headers: Mapping[str, str], *, agent: str, scope: Scope) -> tuple[Signal, ...]:
    """All that the headers of one answer say of uses, but for the reservation of TDMRep, which needs its file."""
    usage, tag = headers.get("content-usage"), headers.get("x-robots-tag")
    return (
        *(() if usage is None else content_usage(usage, layer="http", scope=scope)),
        *(() if tag is None else x_robots_tag(tag, agent=agent, scope=scope)),
    )


def of_robots(rules: robots.Robots, target: str, *, scope: Scope) -> tuple[Signal, ...]:
    """All that the robots.txt of a site says of the uses of ``target``, but for its RSL licences."""
    found: list[Signal] = []
    for use in rules.uses_of(target, "content-usage"):
        found += content_usage(use.value, layer="site", scope=_wide(use.path, scope))
    for use in rules.uses_of(target, "content-signal"):
        found += content_signal(use.value, scope=_wide(use.path, scope))
    return tuple(dict.fromkeys(found))


def _signal(kind: str, raw: str, layer: Layer, scope: Scope, verdict: Verdict, category: Category) -> Signal:
    return Signal(layer=layer, kind=kind, raw=raw, verdict=verdict, category=category, scope=scope)


def _token_verdict(member: Any) -> Verdict:
    """What one member of a ``Content-Usage`` says: a value and its parameters, or nothing."""
    words: dict[str, Verdict] = {"y": "allow", "n": "deny"}
    value = member[0] if isinstance(member, tuple) else None
    return words.get(str(value), "unknown") if isinstance(value, http_sf.Token) else "unknown"


def _refusals(kind: str, raw: str, words: set[str], layer: Layer, scope: Scope) -> tuple[Signal, ...]:
    categories: tuple[tuple[set[str], Category], ...] = ((NO_TRAINING, "train-any"), (NO_INDEX, "index"))
    return tuple(
        _signal(kind, raw, layer, scope, "deny", category) for refused, category in categories if words & refused
    )


def _directives(line: str) -> Iterator[tuple[str, str]]:
    """Whom each word of one ``X-Robots-Tag`` speaks to, empty for all, and the word; a name speaks to the end of its line."""
    whom = ""
    for part in line.split(","):
        head, colon, rest = part.strip().lower().partition(":")
        if colon and head.strip() not in VALUED and re.fullmatch(r"\*|[a-z][a-z0-9_.-]*", head.strip()):
            whom, head = head.strip(), rest
        yield whom, head.strip()


def _wide(pattern: str, scope: Scope) -> Scope:
    """The scope of a rule of a site's file: of the whole site when its path is the root."""
    return "site" if pattern in ("/", "*", "/*") else scope


def _licences(content: bytes, target: str) -> Iterator[Tag]:
    """The ``license`` elements of an RSL file that speak of ``target``. Nothing in it is expanded or fetched."""
    for element in BeautifulSoup(content, "html.parser").find_all("content"):
        address = urlsplit(str(element.get("url", "/")))
        if robots.matches((address.path or "/") + (f"?{address.query}" if address.query else ""), target):
            yield from element.find_all("license")


def _usages(licence: Tag, name: str) -> set[str]:
    elements = licence.find_all(name, attrs={"type": "usage"})
    return {word for element in elements for word in re.split(r"[\s,]+", element.get_text().lower()) if word}
