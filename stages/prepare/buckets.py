"""Aspect buckets: the sizes that pictures are cropped to."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from stages.images import Pixels

Bucket = tuple[int, int]  # width and height in pixels


def nearest(width: int, height: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket whose aspect is nearest to ``width`` by ``height``, on a logarithmic scale; of equal ones the first."""

    def apart(bucket: Bucket) -> float:
        return round(abs(math.log(bucket[0] / bucket[1]) - math.log(width / height)), 9)  # 2:3 and 3:2 are equally far

    return min(buckets, key=apart)


def fill(pixels: Pixels, bucket: Bucket) -> Pixels:
    """``pixels`` cut around their centre to the bucket's aspect and resized to it: uint8[height, width, 3]."""
    width, height = bucket
    across, down = pixels.shape[1], pixels.shape[0]
    scale = min(across / width, down / height)
    keep_w, keep_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (across - keep_w) // 2, (down - keep_h) // 2
    cut = pixels[top : top + keep_h, left : left + keep_w]
    method = cv2.INTER_AREA if scale >= 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(cut, (width, height), interpolation=method).astype(np.uint8))
