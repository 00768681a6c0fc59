"""Declared slices: which kinds of pictures are looked at one by one. None is sought by its losses, so little is chance."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Literal
from urllib.parse import urlsplit

from stages.licences import OWN, TERMS
from stages.records import Item, Region

Column = Literal["bucket", "source", "licence", "word", "theme", "face"]
Traits = Mapping[Column, frozenset[str]]  # what one picture has in each column: several words, one bucket

# Words that say nothing of what a picture shows; shorter ones than three letters are none either.
EMPTY_WORDS = frozenset(
    """about above after all and are around been before behind being below beside between both but can down each for from
    has have her his how image into its just more most near not off one onto other our out over photo photograph picture
    said shown shows side some such than that the their them then there these they this those through two under until
    very was were what when where which while who with your""".split()  # noqa: SIM905 - prose is easier to read
)


def bucket(width: int, height: int) -> str:
    """The name of a bucket, in pixels."""
    return f"{width}x{height}"


def site(item: Item) -> str:
    """The host that showed ``item``; "own" for a file of the user's."""
    return urlsplit(item.page or item.url).netloc or "own"


def licence_class(licence: str) -> str:
    """What ``licence`` (SPDX) asks for most, in words."""
    if licence == OWN or licence not in TERMS:
        return "own" if licence == OWN else "unknown"
    terms = TERMS[licence]
    if not terms.commercial:
        return "non-commercial"
    if not terms.derivatives:
        return "no derivatives"
    if terms.share_alike:
        return "share-alike"
    return "attribution" if terms.attribution else "free"


def words(text: str) -> list[str]:
    """The words of a caption that say what it shows, in lower case, in their order; of three letters or more."""
    found = re.findall(r"[^\W\d_]{3,}", text.lower())
    return [word for word in found if word not in EMPTY_WORDS]


def face(faces: Sequence[Region], area: int, *, large: float, min_score: float) -> str:
    """How large the largest face is in a picture of ``area`` pixels: "none", "small", or "large" from the share ``large`` on."""
    sizes = [each.width * each.height for each in faces if each.score >= min_score]
    if not sizes:
        return "none"
    return "large" if max(sizes) >= large * area else "small"


def of(traits: Traits, columns: Iterable[Column], pairs: Iterable[tuple[Column, Column]]) -> list[str]:
    """The names of all slices that a picture lies in: ``word=lying``, ``word=lying & bucket=64x64``."""
    named = {column: [f"{column}={value}" for value in sorted(values)] for column, values in traits.items()}
    single = [name for column in columns for name in named[column]]
    return single + [" & ".join(both) for one, other in pairs for both in product(named[one], named[other])]


def value(name: str, column: Column) -> list[str]:
    """What the slice ``name`` fixes in ``column``; one value, or none."""
    parts = [part.partition("=") for part in name.split(" & ")]
    return [found for key, _, found in parts if key == column]


def commonest(texts: Iterable[str], *, first: Sequence[str], most: int) -> tuple[str, ...]:
    """``first``, then the words that most of ``texts`` hold, ``most`` in all."""
    counts = Counter(word for text in texts for word in set(words(text)))
    order = sorted(counts, key=lambda word: (-counts[word], word))
    return tuple(dict.fromkeys([*first, *order]))[:most]
