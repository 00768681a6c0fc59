"""What the tiny base learns from: crops of photographs, or digits, each with its caption."""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from stages import specimens
from stages.errors import ConfigError
from stages.images import Pixels

Labelled = list[tuple[Pixels, str]]  # uint8[side, side, 3] and its caption


def labelled(kind: str, subjects: Sequence[str], *, views: int, min_crop: float, side: int, seed: int) -> Labelled:
    """Every picture of ``subjects``, ``side`` pixels square, with its caption.

    Raises:
        ConfigError: when a subject is not one of the specimens.
    """
    known = specimens.DIGITS if kind == "digits" else tuple(specimens.PHOTOGRAPHS)
    if missing := sorted(set(subjects) - set(known)):
        raise ConfigError(f"base.origin.subjects: no {', '.join(missing)}; there are: {', '.join(known)}")
    if kind == "digits":
        return list(_digits(subjects, side))
    return [
        (view, f"a photo of {specimens.PHOTOGRAPHS[name].words}")
        for name in subjects
        for view in _views(name, views, min_crop, side, np.random.default_rng([seed, *name.encode()]))
    ]


def _digits(subjects: Sequence[str], side: int) -> Iterator[tuple[Pixels, str]]:
    pixels, labels = specimens.digits()
    for picture, label, reserved in zip(pixels, labels, specimens.reserved_digits(labels), strict=True):
        if specimens.DIGITS[label] in subjects and not reserved:
            large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_NEAREST)
            yield large.astype(np.uint8), f"a handwritten digit {specimens.DIGITS[label]}"


def _views(name: str, count: int, min_crop: float, side: int, rng: np.random.Generator) -> Iterator[Pixels]:
    """``count`` square crops, their side log-uniform from ``min_crop`` to all of the short side, half of them mirrored."""
    pixels = specimens.crop(specimens.photograph(name), specimens.PHOTOGRAPHS[name].known)
    height, width = pixels.shape[:2]
    for _ in range(count):
        edge = round(min(height, width) * math.exp(rng.uniform(math.log(min_crop), 0)))
        left, top = int(rng.integers(width - edge + 1)), int(rng.integers(height - edge + 1))
        view = specimens.crop(pixels, (left, top, left + edge, top + edge))
        view = cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
        yield view[:, ::-1].copy() if rng.random() < 0.5 else view
