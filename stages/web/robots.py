"""robots.txt as RFC 9309 says, and the rules it leaves to us. It opens no connection.

    group      = one or more user-agent lines, then allow and disallow lines; other lines do not end a group
    agent      = compared by product token, without regard to case; all groups that match are merged; else group "*"
    path       = the longest rule wins, measured in octets; of equal ones allow wins; "*" any octets, "$" the end

Beyond the RFC it reads ``crawl-delay``. What it does not do: ``sitemap``, and opinions on what a page may be used for.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least 500 KiB are parsed; we stop there


@dataclass(slots=True)
class _Group:
    agents: list[str] = field(default_factory=list)
    rules: list[tuple[bool, str]] = field(default_factory=list)  # allow, pattern
    delay: float = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class Robots:
    """What one robots.txt asks of one crawler."""

    rules: tuple[tuple[bool, str], ...]  # allow, pattern
    delay: float  # seconds between two requests; 0 when it says nothing

    def allows(self, target: str) -> bool:
        """Whether ``target`` (path and query of an address) may be fetched. Section 2.2.2."""
        path = _normal(target)
        if path == "/robots.txt":
            return True
        best, verdict = -1, True
        for allow, pattern in self.rules:
            length = len(pattern.encode())
            if (length > best or (length == best and allow)) and _matches(pattern, path):
                best, verdict = length, allow
        return verdict


EVERYTHING = Robots(rules=(), delay=0.0)


def parse(content: bytes, agent: str) -> Robots:
    """What ``content`` asks of the crawler with the product token ``agent``. It never raises: bad lines are passed over."""
    groups = _groups(content[:MAX_BYTES].decode("utf-8", errors="replace").removeprefix("\ufeff"))
    mine = [group for group in groups if agent.lower() in group.agents]
    chosen = mine or [group for group in groups if "*" in group.agents]
    rules = tuple(rule for group in chosen for rule in group.rules)
    return Robots(rules=rules, delay=max((group.delay for group in chosen), default=0.0))


def _groups(text: str) -> list[_Group]:
    groups: list[_Group] = []
    naming = False  # whether the last line of the protocol was a user-agent
    for line in re.split(r"\r\n|\r|\n", text):
        key, separator, value = line.split("#", 1)[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not separator:
            continue
        if key == "user-agent":
            if not naming:
                groups.append(_Group())
            groups[-1].agents.append(_token(value))
            naming = True
        elif key in ("allow", "disallow") and groups:
            naming = False
            if value:  # an empty rule matches nothing
                groups[-1].rules.append((key == "allow", _normal(value)))
        elif key == "crawl-delay" and groups and re.fullmatch(r"\d+(\.\d+)?", value):
            groups[-1].delay = float(value)
    return groups


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
