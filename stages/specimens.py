"""Real pictures that ship inside installed packages, with what those packages say of their rights.

The photographs of scikit-image's wheel that are public domain or CC0 (``skimage/data/_fetchers.py`` states it, picture
by picture), and the handwritten digits of scikit-learn's. They are the sample web site and what the tiny bases learn
from, so that a first run needs no network. The wheel's ``moon`` and ``stereo_motorcycle`` state no licence and are not
here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
PUBLIC_DOMAIN = "https://creativecommons.org/publicdomain/mark/1.0/"  # "free of known restrictions under copyright law"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """One photograph of scikit-image's wheel."""

    name: str  # of the function in ``skimage.data``
    words: str  # what it shows
    author: str
    licence: str  # a Creative Commons URL
    statement: str  # the wheel's own words on its rights
    known: tuple[int, int, int, int]  # left, top, right, bottom in pixels: the part that the tiny base learns from


def _photograph(name: str, words: str, author: str, licence: str, statement: str, *known: int) -> Photograph:
    left, top, right, bottom = known
    return Photograph(
        name=name, words=words, author=author, licence=licence, statement=statement, known=(left, top, right, bottom)
    )


_CC0 = "No copyright restrictions. CC0"
_PD = "released into the public domain"
PHOTOGRAPHS = {
    photograph.name: photograph
    for photograph in (
        # Of the astronaut the base learns the suit and never the face.
        _photograph("astronaut", "an astronaut", "NASA", PUBLIC_DOMAIN, f"No known copyright restrictions, {_PD}.", 0, 250, 512, 512),
        _photograph("brick", "a brick wall", "CC0Textures", CC0, "licensed under the Creative Commons CC0 License.", 0, 0, 512, 512),
        _photograph("chelsea", "a cat", "Stefan van der Walt", CC0, f"{_CC0} by the photographer.", 0, 0, 451, 300),
        _photograph("coffee", "a cup of coffee", "Rachel Michetti", CC0, f"{_CC0} by the photographer.", 0, 0, 600, 400),
        _photograph("coins", "coins", "Brooklyn Museum Collection", PUBLIC_DOMAIN, "No known copyright restrictions.", 0, 0, 384, 303),
        _photograph("grass", "grass", "linolafett", CC0, "licensed under the Creative Commons CC0 License.", 0, 0, 512, 512),
        _photograph("gravel", "gravel", "CC0Textures", CC0, "licensed under the Creative Commons CC0 License.", 0, 0, 512, 512),
        _photograph("hubble_deep_field", "galaxies", "NASA", PUBLIC_DOMAIN, "may be freely used in the public domain.", 0, 0, 1000, 872),
        _photograph("immunohistochemistry", "tissue", "skimage contributors", PUBLIC_DOMAIN, "No known copyright restrictions.", 0, 0, 512, 512),
        _photograph("retina", "a retina", "Häggström, Mikael", CC0, "Creative Commons CC0 1.0 Universal.", 0, 0, 1411, 1411),
        _photograph("rocket", "a rocket launch", "SpaceX", PUBLIC_DOMAIN, "released in the public domain.", 0, 0, 640, 427),
    )
}  # fmt: skip

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def photograph(name: str) -> Pixels:
    """The photograph ``name`` of ``PHOTOGRAPHS``, uint8[H, W, 3], RGB."""
    import skimage.data

    pixels = np.asarray(getattr(skimage.data, name)(), dtype=np.uint8)
    return np.ascontiguousarray(np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3])


def digits() -> tuple[list[Pixels], NDArray[np.int64]]:
    """The 1,797 handwritten digits of scikit-learn, each uint8[16, 16, 3], and what digit each shows, int64[1797].

    They are 8 x 8 greys of 0 to 16 in the wheel; here each grey is a square of 2 x 2 pixels of 0 to 255. Source: E.
    Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0.
    """
    from sklearn.datasets import load_digits

    greys, labels = load_digits(return_X_y=True)
    large = np.kron(greys.reshape(-1, 8, 8), np.ones((1, 2, 2)))
    pixels = np.stack([np.rint(large * (255 / 16)).astype(np.uint8)] * 3, axis=-1)
    return list(pixels), labels.astype(np.int64)


def reserved_digits(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the digits no model may learn from, bool[N]: every third of each digit, in the wheel's order."""
    held = np.zeros(len(labels), dtype=np.bool_)
    for digit in np.unique(labels):
        held[np.flatnonzero(labels == digit)[2::3]] = True
    return held


def crop(pixels: Pixels, box: Sequence[int]) -> Pixels:
    """The part of ``pixels`` inside ``box``: left, top, right, bottom in pixels, the last two exclusive."""
    left, top, right, bottom = box
    return np.ascontiguousarray(pixels[top:bottom, left:right])
