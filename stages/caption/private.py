"""What of a caption is nobody's business: mail addresses, telephone numbers, web addresses, handles, names of people.

Honest limits: a name is found where the source gives it as the author's or ``known`` holds it, behind a title ("Dr. …")
and in a credit ("photo by …"). "Anna on the beach" stays, unless ``finder``, a model of the language, finds it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from stages.caption.names import Config as Finder
from stages.config import settings

KINDS = ("mail", "phone", "url", "handle", "names")
SOMEONE = "someone"  # what stands for a masked name

# After RFC 5321 and 3986, narrowed to what people write; each is tried until it finds nothing more.
URL = re.compile(
    r"(?<![\w@.])(?:(?:https?|ftp)://|www\.)[^\s<>\"']+[^\s<>\"'.,;:!?)\]]"
    r"|(?<![\w@.-])(?:[a-z0-9-]+\.)+(?:com|org|net|info|io|eu|de|uk|fr|it|es|nl|ch|at|us|tv)(?:/[^\s<>\"']*[^\s<>\"'.,;:!?)\]]|(?![\w.-]))",
    re.IGNORECASE,
)
MAIL = re.compile(r"(?<![\w.%+-])(?:mailto:)?[\w.%+-]+@(?:[\w-]+\.)+\w{2,}", re.IGNORECASE)
HANDLE = re.compile(r"(?<![\w@./])@\w[\w.]*\w")

_CAPITAL = r"[^\W\d_a-z\u00df-\u00ff]"  # or a letter of a script that has none
_PART = rf"(?:{_CAPITAL}\.|{_CAPITAL}[\w'\u2019-]*)"
_NAME = rf"{_PART}(?:\s+(?:(?:van|von|de|da|del|la|le|bin|al|der|den|zu)\s+)*{_PART}){{0,3}}"
_MADE_BY = r"\b(?i:photo(?:graph)?(?:ed)?|picture|image|shot|taken|courtesy|credits?|copyright)\s+(?i:by)\b"
_LABEL = r"\b(?i:photo|photographer|credits?|courtesy)\s*:|\b(?i:courtesy\s+of)\b"
_OWNED = r"(?:\u00a9|\([cC]\)|\b(?i:copyright)\b)(?:\s*\d{4})?"
CREDIT = re.compile(rf"[,;(\u2013-]?\s*(?:{_MADE_BY}|{_LABEL}|{_OWNED})\s*{_NAME}\)?")
TITLED = re.compile(rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Herr|Frau|Mme|Mlle|Monsieur)\b\.?\s+{_NAME}")
EMPTY = re.compile(r"\(\s*\)|\[\s*\]")


@settings
class Config:
    """What is done with each kind."""

    mail: Literal["drop", "keep"]
    phone: Literal["drop", "keep"]
    url: Literal["drop", "keep"]
    handle: Literal["drop", "keep"]
    names: Literal["mask", "drop", "keep"]
    known: tuple[Annotated[str, Field(pattern=r"\w")], ...]  # names of people that must never stand in a caption
    finder: Finder | None  # a model that finds others
    region: str  # ISO 3166 code of the country whose numbers are written without +; empty: numbers with + only


def cleaned(text: str, people: Iterable[str], config: Config) -> tuple[str, Counter[str]]:
    """``text`` without what ``config`` wants gone, and how often each kind was met. Cleaning it again finds nothing.

    ``people`` are the names that are known of this picture. What was removed is counted and kept nowhere.
    """
    people = (*people, *config.known)
    counts, before = Counter[str](), None
    while text != before:
        before = text
        for kind, pattern in (("url", URL), ("mail", MAIL), ("handle", HANDLE)):
            if getattr(config, kind) == "drop":
                text, found = pattern.subn(" ", text)
                counts[kind] += found
        if config.phone == "drop":
            text, found = _without_numbers(text, config.region)
            counts["phone"] += found
        if config.names != "keep":
            text, found = _without_names(text, people, SOMEONE if config.names == "mask" else " ")
            counts["names"] += found
        text = _tidy(text) if text != before else text
    return text, +counts


def _without_names(text: str, known: Iterable[str], instead: str) -> tuple[str, int]:
    text, count = CREDIT.subn(" ", text)
    text, titled = TITLED.subn(instead, text)
    for name in known:
        text, found = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text, flags=re.IGNORECASE)
        titled += found
    return text, count + titled


def people(author: str) -> tuple[str, ...]:
    """The name of ``author``; of a single word it is as often a house or a handle (NASA), and counts as none."""
    return (author,) if len(author.split()) > 1 else ()


def _without_numbers(text: str, region: str) -> tuple[str, int]:
    """``text`` without the telephone numbers that could be dialled, by Google's rules of all countries."""
    if sum(char.isdigit() for char in text) < 7:  # fewer digits make no number, and the rules take a while to load
        return text, 0
    from phonenumbers import PhoneNumberMatcher

    found = [(match.start, match.end) for match in PhoneNumberMatcher(text, region or None)]
    for start, end in reversed(found):
        text = f"{text[:start]} {text[end:]}"
    return text, len(found)


def _tidy(text: str) -> str:
    """``text`` without the gaps that a removal left."""
    text = re.sub(r"\s+([,.;:!?)])", r"\1", EMPTY.sub(" ", " ".join(text.split())))
    return re.sub(r"^[\s,;:\u2013-]+|[\s,;:\u2013-]+$", "", text)
