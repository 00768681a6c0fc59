"""Whether a picture looks written on, without any weights: rows of blobs that are as high as each other.

What it is not: a reader. It sees that light or dark blobs stand in line as letters do, and never what they say; fences,
windows and railings can look so too.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]  # uint8[H, W]
Boxes = NDArray[np.int32]  # int32[N, 5]: left, top, width, height, area, in pixels

NEIGHBOURHOOD = 15  # pixels: a letter is lighter or darker than the mean of such a square around it
STEP = 12  # grey levels by which it must be
HEIGHTS = (6, 64)  # pixels of a letter at the side at which pictures are measured
LETTERS = 5  # in a row, at least
BAND = 0.15  # of the height: where marks stand, at top and bottom


def lines(grey: Grey) -> list[Boxes]:
    """The rows of letter-like blobs in ``grey``, each the boxes of its letters from left to right."""
    local = cv2.blur(grey, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    found: list[Boxes] = []
    for mask in (
        cv2.compare(grey, cv2.add(local, STEP), cv2.CMP_GT),
        cv2.compare(local, cv2.add(grey, STEP), cv2.CMP_GT),
    ):
        found += _rows(_letters(mask))
    return found


def share(found: list[Boxes], grey: Grey) -> float:
    """How much of ``grey`` the rows ``found`` in it cover, 0 to 1; what overlaps counts once."""
    covered = np.zeros(grey.shape, dtype=np.uint8)
    for row in found:
        left, top = row[:, 0].min(), row[:, 1].min()
        right, bottom = (row[:, 0] + row[:, 2]).max(), (row[:, 1] + row[:, 3]).max()
        covered[top:bottom, left:right] = 1
    return cv2.countNonZero(covered) / covered.size


def at_the_border(found: list[Boxes], grey: Grey) -> float:
    """How likely one of the rows ``found`` in ``grey`` is a mark laid over it, 0 to 1: a row along top or bottom."""
    height = grey.shape[0]
    rows = [
        row for row in found if row[:, 1].min() > (1 - BAND) * height or (row[:, 1] + row[:, 3]).max() < BAND * height
    ]
    return max((1 - 0.5 ** (len(row) / LETTERS) for row in rows), default=0.0)


def _letters(mask: Grey) -> Boxes:
    """The blobs of ``mask`` that have the size and the fill of letters."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes = stats[1:]
    width, height, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    high = (height >= HEIGHTS[0]) & (height <= HEIGHTS[1])
    slim = (width <= 1.6 * height) & (width * 12 >= height)
    filled = (area >= 0.2 * width * height) & (area <= 0.95 * width * height)
    return np.asarray(boxes[high & slim & filled], dtype=np.int32)


def _rows(boxes: Boxes) -> list[Boxes]:
    """Chains of boxes: each next one is as high, on the same line and not far to the right."""
    if len(boxes) < LETTERS:
        return []
    boxes = boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]
    left, bottom, height = boxes[:, 0], boxes[:, 1] + boxes[:, 3], boxes[:, 3]
    right = left + boxes[:, 2]
    gap = left[None, :] - right[:, None]
    lower = np.minimum(height[None, :], height[:, None])
    alike = np.abs(height[None, :] - height[:, None]) <= 0.5 * lower
    level = np.abs(bottom[None, :] - bottom[:, None]) <= 0.2 * lower
    follows = (gap > -0.2 * lower) & (gap <= 1.2 * lower) & alike & level & (left[None, :] > left[:, None])
    follower = np.where(follows.any(axis=1), np.where(follows, gap, 1 << 30).argmin(axis=1), -1)
    chains: list[Boxes] = []
    used = np.zeros(len(boxes), dtype=bool)
    for start in range(len(boxes)):
        chain = []
        here = start
        while here >= 0 and not used[here]:
            used[here] = True
            chain.append(here)
            here = int(follower[here])
        if len(chain) >= LETTERS:
            chains.append(boxes[chain])
    return chains
