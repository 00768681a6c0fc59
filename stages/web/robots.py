"""robots.txt as RFC 9309 says, and the rules it leaves to us. It opens no connection.

    group      = one or more user-agent lines, then allow and disallow lines; other lines do not end a group
    agent      = compared by product token, without regard to case; all groups that match are merged; else group "*"
    path       = the longest rule wins, measured in octets; of equal ones allow wins; "*" any octets, "$" the end

Beyond the RFC it reads ``crawl-delay`` and keeps, unread, what a site says of uses: ``content-usage`` (IETF draft
aipref-attach) and ``content-signal`` (contentsignals.org) of our group, ``license`` (rslstandard.org) and ``sitemap``
of the whole file.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least 500 KiB are parsed; we stop there


RULES = (
    "allow",
    "disallow",
    "content-usage",
)  # lines after which a user-agent starts a group; the draft adds the third
USES = ("content-usage", "content-signal")  # lines of a group that speak of uses
LINKS = ("license", "sitemap")  # lines that belong to no group


@dataclass(frozen=True, slots=True)
class Use:
    """What a site says of the uses of some of its paths."""

    kind: str  # one of USES
    path: str  # pattern; "/" where the line names none
    value: str  # what the line says after the path, unchanged


@dataclass(slots=True)
class _Group:
    agents: list[str] = field(default_factory=list)
    rules: list[tuple[bool, str]] = field(default_factory=list)  # allow, pattern
    delay: float = 0.0  # seconds
    uses: list[Use] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Robots:
    """What one robots.txt asks of one crawler."""

    rules: tuple[tuple[bool, str], ...]  # allow, pattern
    delay: float = 0.0  # seconds between two requests; 0 when it says nothing
    uses: tuple[Use, ...] = ()
    licences: tuple[str, ...] = ()  # addresses of RSL licences
    sitemaps: tuple[str, ...] = ()  # addresses

    def allows(self, target: str) -> bool:
        """Whether ``target`` (path and query of an address) may be fetched. Section 2.2.2."""
        decisive = self.decisive(target)
        return target == "/robots.txt" or decisive is None or decisive[0]

    def decisive(self, target: str) -> tuple[bool, str] | None:
        """The rule that ``target`` falls under: whether it allows, and its pattern; none when no rule matches."""
        path = _normal(target)
        best: tuple[bool, str] | None = None
        length = -1
        for allow, pattern in self.rules:
            size = len(pattern.encode())
            if (size > length or (size == length and allow)) and _matches(pattern, path):
                best, length = (allow, pattern), size
        return best

    def uses_of(self, target: str, kind: str) -> tuple[Use, ...]:
        """The lines of ``kind`` that speak of ``target``: those of the longest path that matches it."""
        path = _normal(target)
        found = [use for use in self.uses if use.kind == kind and _matches(_normal(use.path), path)]
        longest = max((len(_normal(use.path)) for use in found), default=0)
        return tuple(use for use in found if len(_normal(use.path)) == longest)


EVERYTHING = Robots(rules=())


def matches(pattern: str, target: str) -> bool:
    """Whether ``pattern``, with ``*`` and a final ``$``, matches the head of ``target``, both as they stand in a file."""
    return _matches(_normal(pattern), _normal(target))


def parse(content: bytes, agent: str) -> Robots:
    """What ``content`` asks of the crawler with the product token ``agent``. It never raises: bad lines are passed over."""
    lines = _lines(content[:MAX_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff"))
    groups = _groups(lines)
    mine = [group for group in groups if agent.lower() in group.agents]
    chosen = mine or [group for group in groups if "*" in group.agents]
    links = {kind: tuple(value for key, value in lines if key == kind and value) for kind in LINKS}
    return Robots(
        rules=tuple(rule for group in chosen for rule in group.rules),
        delay=max((group.delay for group in chosen), default=0.0),
        uses=tuple(use for group in chosen for use in group.uses),
        licences=links["license"],
        sitemaps=links["sitemap"],
    )


def _lines(text: str) -> list[tuple[str, str]]:
    """Key, in lower case, and value of every line that has both; comments are left out."""
    found = (line.split("#", 1)[0].partition(":") for line in re.split(r"\r\n|\r|\n", text))
    return [(key.strip().lower(), value.strip()) for key, separator, value in found if separator]


def _groups(lines: list[tuple[str, str]]) -> list[_Group]:
    groups: list[_Group] = []
    naming = False  # whether the last line of the protocol was a user-agent
    for key, value in lines:
        if key == "user-agent":
            if not naming:
                groups.append(_Group())
            groups[-1].agents.append(_token(value))
            naming = True
        elif groups:
            naming = naming and key not in RULES
            _add(groups[-1], key, value)
    return groups


def _add(group: _Group, key: str, value: str) -> None:
    if key in ("allow", "disallow") and value:  # an empty rule matches nothing
        group.rules.append((key == "allow", _normal(value)))
    elif key == "crawl-delay" and re.fullmatch(r"\d+(\.\d+)?", value):
        group.delay = float(value)
    elif key in USES:
        path, _, rest = value.replace("\t", " ").partition(" ") if value.startswith("/") else ("/", "", value)
        group.uses.append(Use(kind=key, path=path, value=rest.strip()))


def _token(value: str) -> str:
    """The product token at the head of ``value``: letters, ``-`` and ``_``; section 2.2.1."""
    found = re.match(r"[a-zA-Z_-]+|\*", value)
    return found[0].lower() if found else ""


def _normal(path: str) -> str:
    """``path`` with reserved and non-ASCII octets percent-encoded, and unreserved ones not; section 2.2.2."""
    reserved = "/?#[]@!$&'()*+,;=:"
    parts = re.split(r"((?:%[0-9a-fA-F]{2})+)", path)
    return "".join(
        _recoded(part) if place % 2 else quote(part, safe=reserved + "%~") for place, part in enumerate(parts)
    )


def _recoded(octets: str) -> str:
    return "".join(
        chr(octet) if (chr(octet).isalnum() and octet < 128) or chr(octet) in "-._~" else f"%{octet:02X}"
        for octet in unquote_to_bytes(octets)
    )


def _matches(pattern: str, path: str) -> bool:
    """Whether ``pattern`` with ``*`` and a final ``$`` matches the head of ``path``; never worse than O(n m)."""
    anchored = pattern.endswith("$")
    pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(pieces[0]):
        return False
    place = len(pieces[0])
    for piece in pieces[1:-1] if anchored else pieces[1:]:
        found = path.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    if not anchored:
        return True
    if len(pieces) == 1:
        return place == len(path)
    return len(path) - len(pieces[-1]) >= place and path.endswith(pieces[-1])
