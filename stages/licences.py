"""What a licence allows: names and URLs to SPDX, the strictest of many, and the terms of a set of them.

Facts only, no legal advice: each row says what the licence's own text says of commercial use and of adaptations (a
crop or a blurred face is one). What is not in the table is unknown, and unknown is never allowed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one licence asks for and allows."""

    commercial: bool
    derivatives: bool  # adaptations may be shared
    private_changes: bool  # adaptations that are not shared may be made
    attribution: bool
    share_alike: bool
    platform: bool  # one site's own terms, which may change from day to day


def _terms(code: str, version: str) -> Terms:
    """The terms of a Creative Commons licence by the letters of its code; 4.0 lets even ND works be changed in private."""
    letters = code.split("-")
    return Terms(
        commercial="nc" not in letters,
        derivatives="nd" not in letters,
        private_changes="nd" not in letters or version == "4.0",
        attribution=True,
        share_alike="sa" in letters,
        platform=False,
    )


def _free(*, platform: bool) -> Terms:
    return Terms(
        commercial=True, derivatives=True, private_changes=True, attribution=False, share_alike=False, platform=platform
    )


LONGEST_NAME = 200  # letters; longer texts are terms of use, and none that we know
OWN = "LicenseRef-own"  # one's own pictures, or a contract that covers the declared use; counts only from a sidecar
PUBLIC_DOMAIN = "LicenseRef-public-domain"  # stated, without the instrument that makes it so
SHARE_ALIKE = "share adaptations under the same licence"  # names of duties
UNPAID = "earn no money with it"
_CODES = ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
# The ports of the SPDX list, https://spdx.org/licenses/. Others go by the unported licence of the same version: the
# terms above are the same in all ports.
_PORTS = {
    "by": ("2.5-AU", "3.0-AT", "3.0-AU", "3.0-DE", "3.0-IGO", "3.0-NL", "3.0-US"),
    "by-sa": ("2.0-UK", "2.1-JP", "3.0-AT", "3.0-DE", "3.0-IGO"),
    "by-nc": ("3.0-DE",),
    "by-nc-sa": ("2.0-DE", "2.0-FR", "2.0-UK", "3.0-DE", "3.0-IGO"),
    "by-nd": ("3.0-DE",),
    "by-nc-nd": ("3.0-DE", "3.0-IGO"),
}
TERMS: Mapping[str, Terms] = {
    **dict.fromkeys(("CC0-1.0", "CC-PDM-1.0", "CC-PDDC", PUBLIC_DOMAIN, OWN), _free(platform=False)),
    **dict.fromkeys(("LicenseRef-Unsplash", "LicenseRef-Pexels"), _free(platform=True)),
    **{f"CC-{code.upper()}-{version}": _terms(code, version) for code in _CODES for version in _VERSIONS},
    **{f"CC-{code.upper()}-{port}": _terms(code, port[:3]) for code, ports in _PORTS.items() for port in ports},
}

_EXACT = {
    **{name.lower(): name for name in TERMS if name != OWN},  # nobody else's "own" is ours
    **dict.fromkeys(("cc0", "cc zero", "creative commons zero", "cc0 public domain dedication"), "CC0-1.0"),
    **dict.fromkeys(("pdm", "public domain mark", "creative commons public domain mark"), "CC-PDM-1.0"),
    **dict.fromkeys(("pd", "public domain", "publicdomain", "public domain work"), PUBLIC_DOMAIN),
    **dict.fromkeys(("united states government work", "pd-usgov", "public domain in the united states"), PUBLIC_DOMAIN),
    **dict.fromkeys(("unsplash license", "the unsplash license"), "LicenseRef-Unsplash"),
    **dict.fromkeys(("pexels license", "the pexels license"), "LicenseRef-Pexels"),
}
_PAGES = {  # of platforms, without "www."
    "unsplash.com/license": "LicenseRef-Unsplash",
    "pexels.com/license": "LicenseRef-Pexels",
    "flickr.com/commons/usage": PUBLIC_DOMAIN,  # "no known copyright restrictions"
    "usa.gov/government-works": PUBLIC_DOMAIN,
}
_HOMES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-PDM-1.0": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC-PDDC": "https://creativecommons.org/licenses/publicdomain/",
    "LicenseRef-Unsplash": "https://unsplash.com/license",
    "LicenseRef-Pexels": "https://www.pexels.com/license/",
}
_LABELS = {
    OWN: "own, or by contract",
    PUBLIC_DOMAIN: "stated as public domain",
    "LicenseRef-Unsplash": "Unsplash License",
    "LicenseRef-Pexels": "Pexels License",
}
_LETTERS = (  # what the letters of a code stand for, as people write it
    ("attribution", "by"),
    ("non-?commercial", "nc"),
    ("share[ -]?alike", "sa"),
    ("no[ -]?deriv(?:ative)?s", "nd"),
)
# Jurisdictions that have ported versions up to 3.0, https://creativecommons.org/licenses/list.en
_PORT = (
    "(?:ar|at|au|be|bg|br|ca|ch|cl|cn|co|cr|cz|de|dk|ec|ee|eg|es|fi|fr|ge|gr|gt|hk|hr|hu|ie|igo|il|in|it|jp|kr|lu|mk|"
    "mt|mx|my|nl|no|nz|pe|ph|pl|pr|pt|ro|rs|scotland|se|sg|si|th|tw|ua|ug|uk|us|vn|za)"
)
_EDITION = "(?:international|unported|generic|universal|public domain dedication|licen[cs]e|deed)"
_LEAD = (
    "(?:this (?:work|image|photo|photograph|picture|file) is licensed (?:to the public )?under (?:an? |the )|"
    "licensed under (?:an? |the )?)?(?:creative commons[ :-]+)?"
)


def spdx(statement: str) -> str:
    """The SPDX identifier that ``statement`` (a URL or a name) stands for; empty when it is none that we know.

    What SPDX has no identifier for is a ``LicenseRef-``. Only the host creativecommons.org counts: a look-alike that
    carries its address in a query does not.
    """
    text = " ".join(statement.split())
    if known := _EXACT.get(text.lower()):
        return known
    try:
        address = urlsplit(text if "//" in text else f"https://{text}")
        host = (address.hostname or "").removeprefix("www.")
    except ValueError:  # brackets or odd letters where a host should be
        return ""
    if host == "creativecommons.org":
        return _by_path(address)
    return _PAGES.get(f"{host}{address.path.rstrip('/').lower()}") or _by_name(text)


def _by_path(address: SplitResult) -> str:
    """``/licenses/by/3.0/us/deed.de`` and the like."""
    path = address.path.lower()
    if re.match(r"^/(licenses/publicdomain|publicdomain/certification/1\.0)(/|$)", path):
        return "CC-PDDC"
    found = re.match(
        rf"^/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/({_PORT}))?(?:/(?:deed|legalcode|rdf|$)|$)", path
    )
    if not found:
        return ""
    kind, code, version, port = found.groups()
    if kind == "publicdomain":
        return _known({"zero": "CC0", "mark": "CC-PDM"}.get(code, ""), version)
    return _licence(code, version, port or "")


def _by_name(text: str) -> str:
    """``CC BY-NC 4.0 International`` and the like; further words may be conditions, so they make it unknown."""
    if len(text) > LONGEST_NAME:
        return ""
    if pair := re.fullmatch(r"(.+?) \(([^()]+)\)", text):
        one, other = _by_name(pair[1]), _by_name(pair[2])
        return one if one == other else ""
    text = re.sub(f"^{_LEAD}", "", text.lower()).rstrip(". ")
    for words, letters in _LETTERS:
        text = re.sub(words, letters, text)
    found = re.fullmatch(
        rf"(?:cc[ -]?)?(0|zero|pdm|public domain mark|by(?:[ -]+(?:nc|sa|nd)){{0,2}})(?: {_EDITION})?"
        rf"[ -]?v?(\d\.\d)(?:[ -]({_PORT}))?(?: {_EDITION})*",
        text,
    )
    if not found:
        return ""
    code, version, port = re.sub("[ -]+", "-", found[1]), found[2], found[3] or ""
    if code.startswith("by"):
        return _licence(code, version, port)
    return _known("CC-PDM" if code.startswith("p") else "CC0", version)


def _licence(code: str, version: str, port: str) -> str:
    """The identifier of the port where SPDX has one, else of the unported licence."""
    if code == "by-nd-nc" and version == "1.0":  # as 1.0 wrote it
        code = "by-nc-nd"
    name = f"CC-{code.upper()}"
    return (port and _known(name, f"{version}-{port.upper()}")) or _known(name, version)


def _known(name: str, version: str) -> str:
    return f"{name}-{version}" if f"{name}-{version}" in TERMS else ""


def label(licence: str) -> str:
    """``licence`` (SPDX) in words where its identifier would say little; "unknown" for none."""
    return _LABELS.get(licence, licence) or "unknown"


def page(licence: str) -> str:
    """Where the licence's text stands; empty when it has no page of its own."""
    if licence in _HOMES:
        return _HOMES[licence]
    found = re.fullmatch(r"CC-(BY[A-Z-]*?)-(\d\.\d)(?:-([A-Z]+))?", licence)
    if not found:
        return ""
    code = "by-nd-nc" if (found[1], found[2]) == ("BY-NC-ND", "1.0") else found[1].lower()
    return f"https://creativecommons.org/licenses/{code}/{found[2]}/" + (f"{found[3].lower()}/" if found[3] else "")


def strictest(statements: Iterable[str]) -> str:
    """Of several statements (identifiers, URLs or names) the licence that allows least.

    Empty when there are none, one of them is unknown, or no single one is the strictest: BY-NC bars what BY-ND allows
    and the other way round.
    """
    names = [statement if statement in TERMS else spdx(statement) for statement in statements]
    if not names or not all(names):
        return ""
    least = min(names, key=_freedom)
    return "" if any(_asks_more(name, least) for name in names) else least


def conflict(licences: Iterable[str]) -> bool:
    """Whether two known ones of ``licences`` each ask for something that the other does not."""
    known = sorted(set(licences) & set(TERMS))
    return any(_asks_more(one, other) and _asks_more(other, one) for one, other in combinations(known, 2))


def _freedom(name: str) -> tuple[int, bool, bool, bool, str]:
    terms = TERMS[name]
    allowed = terms.commercial + terms.derivatives + terms.private_changes
    return allowed, not terms.platform, not terms.share_alike, not terms.attribution, name


def _asks_more(one: str, other: str) -> bool:
    """Whether ``one`` bars or asks for something that ``other`` does not."""
    return any(asks(TERMS[one]) and not asks(TERMS[other]) for asks in _DUTIES.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What follows for a model that learned from pictures under several licences."""

    because: Mapping[str, tuple[str, ...]]  # each duty, by its name, and the licences that ask for it
    unknown: bool  # for some picture nobody knows

    @property
    def names(self) -> frozenset[str]:
        """The duties that some licence asks for."""
        return frozenset(name for name, licences in self.because.items() if licences)

    @property
    def clash(self) -> tuple[str, ...]:
        """Licences, without their versions, that one model cannot carry together; empty when none clash.

        Share-alike asks for the very same licence (a later version will do: BY-SA 3.0, section 4(b)), and BY-SA for one
        that lets others earn money, which any NC licence bars.
        """
        alike = {_unversioned(name) for name in self.because[SHARE_ALIKE]}
        unpaid = {_unversioned(name) for name in self.because[UNPAID]}
        found = alike | (unpaid if alike - unpaid else set())
        return tuple(sorted(found)) if len(found) > 1 else ()


def _unversioned(name: str) -> str:
    return re.sub(r"-\d.*", "", name)


def duties(licences: Iterable[str]) -> Duties:
    """The strictest duties of all ``licences``; one more never makes the set freer."""
    found = set(licences)
    known = sorted(found & set(TERMS))
    because = {name: tuple(each for each in known if asks(TERMS[each])) for name, asks in _DUTIES.items()}
    return Duties(because=because, unknown=bool(found - set(known)))


_DUTIES: Mapping[str, Callable[[Terms], bool]] = {
    "name the sources": lambda terms: terms.attribution,
    SHARE_ALIKE: lambda terms: terms.share_alike,
    UNPAID: lambda terms: not terms.commercial,
    "share no adaptations": lambda terms: not terms.derivatives,
    "make no adaptations": lambda terms: not terms.private_changes,
    "read the platform's terms of the day": lambda terms: terms.platform,
}
