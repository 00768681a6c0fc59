"""Parts that put a picture into words: one file each."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stages.images import Pixels, decode
from stages.records import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One picture as a captioner meets it: what was said of it, and pixels that are read when they are asked for."""

    item: Item
    read: Callable[[], bytes]  # the bytes of the picture, the redacted ones where there are such

    def digest(self) -> str:
        """SHA-256 of the bytes that ``pixels`` shows."""
        return hashlib.sha256(self.read()).hexdigest()

    def pixels(self) -> Pixels:
        """The picture as uint8[H, W, 3], RGB, upright."""
        return decode(self.read())


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one captioner says of one picture, word for word: nothing is cleaned yet."""

    by: str  # the captioner's name
    model: str  # repository and revision, or the digest of a local folder; empty where no model speaks
    text: str  # empty when it has no words
    score: float | None  # agreement with the other captioners, 0 to 1; None where nobody else was asked


class Captioner(Protocol):
    """Puts pictures into words: the same words whatever other pictures it is asked of."""

    def __call__(self, views: Sequence[View]) -> list[tuple[Told, ...]]:
        """For each of ``views`` what was said of it, the chosen words first.

        Raises:
            ModelError: when the model that should speak cannot be had.
        """
        ...


def speaking(name: str, words: Callable[[Item], str]) -> Captioner:
    """The captioner ``name`` that needs no pixels, only what the source said."""

    def caption(views: Sequence[View]) -> list[tuple[Told, ...]]:
        return [(Told(by=name, model="", text=words(view.item), score=None),) for view in views]

    return caption
