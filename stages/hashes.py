"""Perceptual hashes: how one is made of a picture, and how far two are apart."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels that the hash looks at
TERMS = 16  # frequencies of each axis; 16 x 16 = 256 bits


def perceptual_hash(grey: NDArray[np.uint8]) -> str:
    """The hash of ``grey``, uint8[H, W]: 256 bits as 64 hex digits, the low frequencies against their median.

    As in PDQ (Facebook, 2019) the picture is averaged to 64 x 64 and 16 x 16 terms of its cosine transform are kept,
    the constant one left out; unlike it, without its two-pass box filter and quality measure.
    """
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    terms = _cosines() @ small @ _cosines().T
    return np.packbits((terms > np.median(terms)).ravel()).tobytes().hex()


def words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """Hashes as uint64[N, 4], for ``distances``."""
    if not hashes:
        return np.zeros((0, TERMS * TERMS // 64), dtype=np.uint64)
    return np.stack([np.frombuffer(bytes.fromhex(each), dtype=">u8").astype(np.uint64) for each in hashes])


def distances(one: NDArray[np.uint64], many: NDArray[np.uint64]) -> NDArray[np.int64]:
    """In how many bits ``one``, uint64[4], differs from each of ``many``, uint64[N, 4]: int64[N], 0 to 256."""
    return np.asarray(np.bitwise_count(many ^ one).sum(axis=1, dtype=np.int64))


@cache
def _cosines() -> NDArray[np.float64]:
    """The rows 1 to 16 of the 64-point DCT-II, float64[16, 64]."""
    term, place = np.arange(1, TERMS + 1)[:, None], np.arange(SIDE)[None, :]
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi / SIDE * (place + 0.5) * term))
