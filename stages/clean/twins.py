"""Which frames show the same as another that is better, or that is refused: by perceptual hash, and by embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages import hashes, neighbours
from stages.hashes import Looks
from stages.records import Quality

Twins = dict[str, str]  # each frame that goes, and the one that stays in its stead or whose refusal it shares


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHash:
    """Near are two pictures whose hashes differ in at most ``distance`` bits."""

    distance: int
    looks: Looks
    min_quality: int  # a hash of less says too little to be compared

    def duplicates(self, images: Sequence[Quality]) -> Twins:
        """Each of ``images``, best first, that is near a better one, and the one that stays in its stead.

        Each is compared with those that stay, and the nearest stands for it: a chain of likenesses does not swallow what
        is unlike its head.
        """
        order, words = self._compared(images)
        return _named(order, neighbours.heads(words, self.distance, looks=hashes.looks(words, self.looks)))

    def copies(self, images: Sequence[Quality], refused: Sequence[Quality]) -> Twins:
        """Each of ``images`` that is near one of ``refused``, and the nearest of those."""
        order, words = self._compared(images)
        others, listed = self._compared(refused)
        near = neighbours.nearest(words, listed, self.distance, looks=hashes.looks(listed, self.looks))
        return _paired(order, others, near)

    def _compared(self, images: Sequence[Quality]) -> tuple[list[Quality], NDArray[np.uint64]]:
        sure = [image for image in images if image.hash_quality >= self.min_quality]
        return sure, hashes.words([image.hash for image in sure])


@dataclass(frozen=True, slots=True, kw_only=True)
class ByEmbedding:
    """Near are two pictures whose embeddings have a cosine of at least ``least``; what has none is near nothing."""

    vectors: Mapping[str, NDArray[np.float32]]
    least: float

    def duplicates(self, images: Sequence[Quality]) -> Twins:
        """As ``ByHash.duplicates``."""
        order, vectors = self._compared(images)
        return _named(order, neighbours.cosine_heads(vectors, self.least))

    def copies(self, images: Sequence[Quality], refused: Sequence[Quality]) -> Twins:
        """As ``ByHash.copies``."""
        order, vectors = self._compared(images)
        others, listed = self._compared(refused)
        return _paired(order, others, neighbours.cosine_nearest(vectors, listed, self.least))

    def _compared(self, images: Sequence[Quality]) -> tuple[list[Quality], NDArray[np.float32]]:
        known = [image for image in images if image.id in self.vectors]
        width = len(next(iter(self.vectors.values()), ()))
        return known, np.array([self.vectors[image.id] for image in known], np.float32).reshape(len(known), width)


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


def _paired(order: Sequence[Quality], others: Sequence[Quality], near: NDArray[np.intp]) -> Twins:
    return {order[row].id: others[other].id for row, other in enumerate(near.tolist()) if other >= 0}
