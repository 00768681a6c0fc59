"""What a licence allows: names and URLs to SPDX, the strictest of many, and whether a use is allowed.

Facts only, no legal advice: each row says what the licence's own text says of commercial use and of adaptations (a
crop or a blurred face is one). What is not in the table is unknown, and unknown is never allowed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from stages.config import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one licence asks for and allows."""

    commercial: bool
    derivatives: bool
    attribution: bool
    share_alike: bool


@settings
class Use:
    """What the trained model is for, and which pictures that excludes."""

    commercial: bool  # the model may earn money
    honour_opt_outs: bool  # leave out what says that it must not train models


def _terms(code: str) -> Terms:
    """The terms of a Creative Commons licence by the letters of its code."""
    return Terms(
        commercial="nc" not in code.split("-"),
        derivatives="nd" not in code.split("-"),
        attribution=True,
        share_alike="sa" in code.split("-"),
    )


_CODES = ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
_EDITION = "(?:international|unported|generic|universal|public domain dedication|licen[cs]e|deed)"
_FREE = Terms(commercial=True, derivatives=True, attribution=False, share_alike=False)
TERMS: dict[str, Terms] = {
    "CC0-1.0": _FREE,
    "CC-PDM-1.0": _FREE,
    **{f"CC-{code.upper()}-{version}": _terms(code) for code in _CODES for version in _VERSIONS},
}


def spdx(statement: str) -> str:
    """The SPDX identifier that ``statement`` (a URL or a name) stands for; empty when it is none that we know.

    Only the host creativecommons.org counts: a look-alike that carries its address in a query does not.
    """
    text = statement.strip()
    if (known := {name.lower(): name for name in TERMS}.get(text.lower())) is not None:
        return known
    try:
        address = urlsplit(text if "//" in text else f"https://{text}")
    except ValueError:  # brackets or odd letters where a host should be
        return ""
    if (address.hostname or "").removeprefix("www.") != "creativecommons.org":
        return _by_name(text)
    found = re.match(r"^/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/|$)", address.path.lower())
    if not found:
        return ""
    kind, code, version = found.groups()
    name = {"zero": "CC0", "mark": "CC-PDM"}.get(code, "") if kind == "publicdomain" else f"CC-{code.upper()}"
    return f"{name}-{version}" if f"{name}-{version}" in TERMS else ""


def _by_name(text: str) -> str:
    """``CC BY-NC 4.0 International`` and the like; further words may be conditions, so they make it unknown."""
    found = re.fullmatch(rf"cc[ -]?(0|by(?:-(?:nc|sa|nd)){{0,2}})[ -]?(\d\.\d)(?: {_EDITION})*", text.lower())
    if not found:
        return ""
    name = "CC0" if found[1] == "0" else f"CC-{found[1].upper()}"
    return f"{name}-{found[2]}" if f"{name}-{found[2]}" in TERMS else ""


def strictest(statements: Iterable[str]) -> str:
    """Of several statements the licence that allows least.

    Empty when there are none, one of them is unknown, or no single one is the strictest: BY-NC bars what BY-ND allows
    and the other way round.
    """
    names = [spdx(statement) for statement in statements]
    if not names or not all(names):
        return ""
    least = min(
        names,
        key=lambda name: (
            TERMS[name].commercial + TERMS[name].derivatives,
            not TERMS[name].share_alike,
            not TERMS[name].attribution,
            name,
        ),
    )
    return "" if any(_bars_more(TERMS[name], TERMS[least]) for name in names) else least


def _bars_more(one: Terms, other: Terms) -> bool:
    """Whether ``one`` bars something that ``other`` allows."""
    return one.commercial < other.commercial or one.derivatives < other.derivatives


def refusal(licence: str, *, opted_out: bool, use: Use) -> str:
    """Why a picture under ``licence`` (SPDX) must not be used; empty when it may. Deny beats allow beats unknown."""
    terms = TERMS.get(licence)
    if use.honour_opt_outs and opted_out:
        return "opted out"
    if terms is None:
        return "licence unknown"
    if use.commercial and not terms.commercial:
        return "licence non-commercial"
    if not terms.derivatives:
        return "licence without adaptations"
    return ""


def attribution(*, title: str, author: str, url: str, licence: str) -> str:
    """The line that names one picture's source, as Creative Commons recommends: title, author, source, licence."""
    return f"{title or 'Untitled'} by {author or 'unknown'}, {licence or 'licence unknown'}, {url}"
