"""Aspect buckets: the sizes that pictures are cropped to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from stages.images import Pixels

Bucket = tuple[int, int]  # width and height in pixels


class Window(NamedTuple):
    """The part of a picture that is kept, in its pixels."""

    left: int
    top: int
    width: int
    height: int


def nearest(width: int, height: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket whose aspect is nearest to ``width`` by ``height``, on a logarithmic scale; of equal ones the first."""

    def apart(bucket: Bucket) -> float:
        return round(abs(math.log(bucket[0] / bucket[1]) - math.log(width / height)), 9)  # 2:3 and 3:2 are equally far

    return min(buckets, key=apart)


def centre(width: int, height: int, bucket: Bucket) -> Window:
    """The largest window of the bucket's aspect in a picture of ``width`` by ``height``, in its middle."""
    scale = min(width / bucket[0], height / bucket[1])
    across, down = max(1, round(bucket[0] * scale)), max(1, round(bucket[1] * scale))
    return Window((width - across) // 2, (height - down) // 2, across, down)


def corner(window: Window, whole: Window, bucket: Bucket) -> tuple[int, int]:
    """Left and top of ``window`` in the whole picture, scaled so that ``window`` fills the bucket.

    ``window`` is in pixels of a picture that was cut out of a whole one: ``whole`` says at which left and top, and how
    large the whole is in the same pixels. Podell et al., arXiv 2307.01952, algorithm 1, and diffusers' scripts count so:
    the crop after scaling, the picture's own size before.
    """
    across, down = bucket[0] / window.width, bucket[1] / window.height
    return round((whole.left + window.left) * across), round((whole.top + window.top) * down)


def mirrored(whole: Window, width: int) -> Window:
    """``whole`` when the part of ``width`` pixels that was cut out of it is mirrored."""
    return whole._replace(left=whole.width - whole.left - width)


def part(pixels: Pixels, window: Window) -> Pixels:
    """What of ``pixels`` lies in ``window``; no copy."""
    return pixels[window.top : window.top + window.height, window.left : window.left + window.width]


def fill(pixels: Pixels, bucket: Bucket, window: Window | None = None) -> Pixels:
    """``pixels`` cut to ``window``, or around their centre, and resized to the bucket: uint8[height, width, 3]."""
    window = window or centre(pixels.shape[1], pixels.shape[0], bucket)
    shrinks = window.width >= bucket[0] and window.height >= bucket[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(part(pixels, window), bucket, interpolation=method).astype(np.uint8))
