"""Perceptual hashes: how one is made of a picture, and how far two are apart."""

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels that the cosine transform looks at
TERMS = 16  # frequencies of each axis; 16 x 16 = 256 bits
_PASSES = 2  # of the box filter; two boxes make a tent (Jarosz, "Fast Image Convolutions", SIGGRAPH 2001)

Looks = Literal["plain", "mirrored", "turned"]  # which forms of a picture count as the same


class Hash(NamedTuple):
    """A perceptual hash, and how much there was to hash."""

    digits: str  # 64 hex digits: 256 bits
    quality: int  # 0 for a flat picture to 100; below 50 a match of two hashes means little


def pdq(grey: NDArray[np.uint8]) -> Hash:
    """The PDQ hash of ``grey``, uint8[H, W]: which low frequencies of its cosine transform lie above their median.

    The picture is smoothed by two box filters, sampled at 64 x 64 places, and 16 x 16 terms of their cosine transform
    are kept, the constant ones left out. Source: Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ
    Image-Hashing Algorithm", 2019, and the reference code beside it; windows of even size lean to the right, as there.
    """
    small = _sampled(_smoothed(grey.astype(np.float32)))
    terms = (_cosines() @ small @ _cosines().T).ravel()
    median = np.partition(terms, terms.size // 2 - 1)[terms.size // 2 - 1]  # the lower of the two in the middle
    bits = np.packbits((terms > median)[::-1])  # the reference writes the last term first
    return Hash(bits.tobytes().hex(), _quality(small))


def words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes as uint64[N, 4], for ``distances``."""
    if not hashes:
        return np.zeros((0, TERMS * TERMS // 64), dtype=np.uint64)
    return np.stack([np.frombuffer(bytes.fromhex(each), dtype=">u8").astype(np.uint64) for each in hashes])


def distances(one: NDArray[np.uint64], many: NDArray[np.uint64]) -> NDArray[np.int64]:
    """In how many bits ``one``, uint64[4], differs from each of ``many``, uint64[N, 4]: int64[N], 0 to 256."""
    return np.asarray(np.bitwise_count(many ^ one).sum(axis=1, dtype=np.int64))


def looks(plain: NDArray[np.uint64], kind: Looks) -> list[NDArray[np.uint64]]:
    """What the hashes of the same pictures would be, mirrored (one form) or also turned (seven), uint64[N, 4] each.

    Mirroring turns the sign of every other term of the cosine transform and a diagonal flip transposes them, so the bits
    follow from the bits, but for those between zero and the median. Of 20 pictures in scikit-image the hash of the
    mirrored pixels differs in 2 to 84 of 256 bits, 16 in the median and most in fine regular texture; of the hash that
    PDQ makes of mirrored terms it differs in at most 18: the rest is PDQ's sampling, which leans to one side.
    """
    if kind == "plain":
        return []
    across, down = _every_other_column(), _every_other_column(transposed=True)
    if kind == "mirrored":
        return [plain ^ across]
    flipped = _transposed(plain)
    return [form ^ mask for form in (plain, flipped) for mask in (across, down, across ^ down)] + [flipped]


def _transposed(plain: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = np.unpackbits(plain.astype(">u8").view(np.uint8), axis=1).reshape(-1, TERMS, TERMS)
    packed = np.packbits(bits.transpose(0, 2, 1).reshape(-1, TERMS * TERMS), axis=1)
    return np.asarray(packed.view(">u8"), dtype=np.uint64)


@cache
def _every_other_column(*, transposed: bool = False) -> NDArray[np.uint64]:
    """A hash with the bits set whose terms are odd along the rows (or the columns): they change sign when mirrored."""
    bits = np.tile(np.arange(TERMS, dtype=np.uint8) % 2, (TERMS, 1))  # bits stand last term first: 16, 15, …, 1
    return np.asarray(np.packbits(bits.T if transposed else bits).view(">u8"), dtype=np.uint64)


def _smoothed(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """``image`` after two box filters whose windows shrink at the borders, float32[H, W]."""
    sizes = [-(-length // (2 * SIDE)) for length in image.shape[::-1]]  # width, height; rounded up
    anchor = tuple((size - 1) // 2 for size in sizes)
    covered = [_covered(length, size) for length, size in zip(image.shape[::-1], sizes, strict=True)]
    share = np.outer(1 / covered[1], 1 / covered[0]).astype(np.float32)
    for _ in range(_PASSES):
        summed = cv2.boxFilter(image, -1, sizes, anchor=anchor, normalize=False, borderType=cv2.BORDER_CONSTANT)
        image = cv2.multiply(summed, share).astype(np.float32, copy=False)
    return image


def _covered(length: int, size: int) -> NDArray[np.float64]:
    """How many of ``length`` places a window of ``size`` covers from each of them, float64[length]."""
    place = np.arange(length)
    first, last = place - (size - 1) // 2, place + size // 2
    return (np.minimum(last, length - 1) - np.maximum(first, 0) + 1).astype(np.float64)


def _sampled(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """The pixels in the middle of 64 x 64 cells, float64[64, 64]."""
    rows, columns = (((np.arange(SIDE) + 0.5) * length / SIDE).astype(np.intp) for length in image.shape)
    return np.asarray(image[rows[:, None], columns], dtype=np.float64)


def _quality(small: NDArray[np.float64]) -> int:
    """How much the neighbours in ``small``, float64[64, 64], differ, by the reference's rule: 0 to 100."""
    steps = [np.trunc(np.diff(small, axis=axis) * (100 / 255)) for axis in (0, 1)]
    return int(min(100, sum(np.abs(step).sum() for step in steps) // 90))


@cache
def _cosines() -> NDArray[np.float64]:
    """The rows 1 to 16 of the 64-point DCT-II, float64[16, 64]."""
    term, place = np.arange(1, TERMS + 1)[:, None], np.arange(SIDE)[None, :]
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * (place + 0.5) * term))
