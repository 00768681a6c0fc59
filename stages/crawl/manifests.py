"""What a C2PA manifest store says on training: the assertions ``cawg.training-mining`` and ``c2pa.training-mining``.

The first is CAWG's, the second its older name. Only these assertions are read, out of JUMBF boxes (ISO/IEC 19566-5) and
CBOR (RFC 8949); no signature is checked. None is needed: a denial is honoured whoever wrote it, and an allowance frees
nothing. c2pa-python would check them, for 16 MB of machine code that reads strangers' files.
"""

import json
import re
import struct
from collections.abc import Iterator
from typing import Any, Literal

from stages.records import Signal

LABEL = re.compile(r"(?:c2pa|cawg)\.training-mining(?:\.v\d+)?(?:__\d+)?")
CATEGORIES: dict[str, Literal["train-generative", "train-any", "tdm"]] = {
    "ai_generative_training": "train-generative",
    "ai_training": "train-any",
    "data_mining": "tdm",
}
# "constrained" is a permission under conditions; CAWG wants it read as notAllowed by who cannot meet them.
USES: dict[Any, Literal["allow", "deny"]] = {"allowed": "allow", "notAllowed": "deny", "constrained": "deny"}
MOST_BOXES = 10_000
DEEPEST = 16  # values in values; an assertion has four
LONGEST = 1000  # letters of a raw value that are kept


def signals(store: bytes) -> list[Signal]:
    """What the manifest ``store`` says on training, by all its manifests; what cannot be read says "unknown"."""
    found: list[Signal] = []
    try:
        for label, kind, content in _assertions(store):
            value = json.loads(content) if kind == b"json" else _cbor(content)
            found += _entries(label, value.get("entries", value))
    except (ValueError, TypeError, AttributeError, struct.error, IndexError, RecursionError, OverflowError) as error:
        found.append(_signal("c2pa", f"cannot be read: {type(error).__name__}", "unknown", "train-any"))
    return found


def _entries(label: str, entries: Any) -> Iterator[Signal]:
    for name, entry in entries.items():
        if category := CATEGORIES.get(str(name).rsplit(".", 1)[-1]):
            raw = json.dumps({str(name): entry}, default=str)
            yield _signal(label, raw, USES.get(entry.get("use"), "unknown"), category)


def _signal(
    kind: str,
    raw: str,
    verdict: Literal["allow", "deny", "unknown"],
    category: Literal["train-generative", "train-any", "tdm"],
) -> Signal:
    return Signal(layer="file", kind=kind, raw=raw[:LONGEST], verdict=verdict, category=category, scope="picture")


def _assertions(store: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Label, kind and content of each assertion on training.

    Raises:
        ValueError: when a box ends outside its own, is packed, or there are too many.
        struct.error: when one is cut off.
    """
    waiting, count = [(0, len(store), "")], 0
    while waiting:
        at, end, label = waiting.pop()
        while at < end:
            size, kind = struct.unpack_from(">I4s", store, at)
            head = 16 if size == 1 else 8
            stop = end if size == 0 else at + (struct.unpack_from(">Q", store, at + 8)[0] if size == 1 else size)
            count += 1
            if stop > end or stop < at + head or count > MOST_BOXES or kind == b"brob":
                raise ValueError("a box that is cut off, packed, or one of too many")
            if kind == b"jumb":
                waiting.append((at + head, stop, ""))
            elif kind == b"jumd":
                label = _label(store[at + head : stop])
            elif kind in (b"cbor", b"json") and LABEL.fullmatch(label):
                yield label, kind, store[at + head : stop]
            at = stop


def _label(description: bytes) -> str:
    """The label in a description box: 16 bytes of type, one of toggles, then text up to a zero."""
    return description[17:].split(b"\0", 1)[0].decode("utf-8", errors="replace") if description[16] & 2 else ""


def _cbor(content: bytes) -> Any:
    """The first value in ``content``.

    Raises:
        ValueError, IndexError, struct.error: when it is none, or deeper than ``DEEPEST``.
    """
    return _value(content, 0, 0)[0]


def _value(content: bytes, at: int, depth: int) -> tuple[Any, int]:
    """A value and where the next one begins."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    major, short = content[at] >> 5, content[at] & 31
    number, at = _number(content, at + 1, short)
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        return _text(content[at : at + number], number, major), at + number
    if major in (4, 5):
        return _several(content, at, depth, number, pairs=major == 5)
    if major == 6:  # a tag: the value is what it is put on
        return _value(content, at, depth + 1)
    return {20: False, 21: True}.get(short), at


def _number(content: bytes, at: int, short: int) -> tuple[int, int]:
    if short < 24:
        return short, at
    if short > 27:
        raise ValueError("of no stated length, which C2PA forbids")
    width = 1 << (short - 24)
    if at + width > len(content):
        raise ValueError("cut off")
    return int.from_bytes(content[at : at + width], "big"), at + width


def _text(content: bytes, length: int, major: int) -> str:
    if len(content) < length:
        raise ValueError("cut off")
    return content.decode("utf-8") if major == 3 else content.hex()


def _several(content: bytes, at: int, depth: int, length: int, *, pairs: bool) -> tuple[Any, int]:
    values = []
    for _ in range(length * 2 if pairs else length):
        value, at = _value(content, at, depth + 1)
        values.append(value)
    return (dict(zip(map(str, values[::2]), values[1::2], strict=True)) if pairs else values), at
