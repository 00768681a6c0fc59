"""Which frames show the same as another that is better: by perceptual hash, and by embedding."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages import hashes, neighbours
from stages.hashes import Looks
from stages.records import Quality

Twins = dict[str, str]  # each frame that goes, and the one that stays in its stead


def near_duplicates(
    images: Sequence[Quality], sizes: Mapping[str, int], distance: int, *, looks: Looks = "plain", min_quality: int = 0
) -> Twins:
    """Each of ``images`` whose hash is at most ``distance`` bits from that of a better one, and the one that stays.

    Each is compared with those that stay, best first (``ranked``), and the nearest stands for it: a chain of likenesses
    does not swallow what is unlike its head. A hash of less than ``min_quality`` says too little to be compared.
    """
    order = [image for image in ranked(images, sizes) if image.hash_quality >= min_quality]
    words = hashes.words([image.hash for image in order])
    return _named(order, neighbours.heads(words, distance, looks=hashes.looks(words, looks)))


def lookalikes(
    images: Sequence[Quality], sizes: Mapping[str, int], vectors: Mapping[str, NDArray[np.float32]], least: float
) -> Twins:
    """Each of ``images`` whose embedding has a cosine of at least ``least`` with that of a better one, as above."""
    order = [image for image in ranked(images, sizes) if image.id in vectors]
    if not order:
        return {}
    return _named(order, neighbours.cosine_heads(np.stack([vectors[image.id] for image in order]), least))


def ranked(images: Sequence[Quality], sizes: Mapping[str, int]) -> list[Quality]:
    """The better ones first: of more pixels, then of more bytes, then of the lower id.

    A copy that was compressed harder looks sharper than it is, so bytes count and sharpness does not.
    """
    return sorted(images, key=lambda image: (-image.width * image.height, -sizes[image.id], image.id))


def merged(first: Twins, then: Twins) -> Twins:
    """``first`` and ``then`` together: whose stand-in went in its turn is given the one that stays for good."""
    return {id: then.get(other, other) for id, other in first.items()} | then


def _named(order: Sequence[Quality], heads: NDArray[np.intp]) -> Twins:
    return {order[row].id: order[head].id for row, head in enumerate(heads.tolist()) if row != head}
