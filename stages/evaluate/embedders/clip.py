"""CLIP: pictures, and words in the same space. Radford et al., ICML 2021.

Its numbers are those of the weights that conf/ names; papers often have others, as ViT-B/32 for CLIP-I and CLIP-T.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stages import vision
from stages.config import settings
from stages.evaluate.embedders import Texts
from stages.evaluate.features import Seen
from stages.images import Pixels
from stages.vision import Reader, Weights


@settings
class Config:
    """Which CLIP."""

    weights: Weights


def build(config: Config) -> "Clip":
    """The embedder; its halves are loaded when they first see a picture or a text that is not in the cache folder."""
    return Clip(config)


class Clip:
    """A ``Reading`` embedder: the projected features, not made unit vectors."""

    def __init__(self, config: Config) -> None:
        self._weights = config.weights
        self._seen = Seen("clip", vision.clip(config.weights))

    @property
    def identity(self) -> str:
        """See ``Embedder``."""
        return self._seen.identity

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """See ``Embedder``."""
        return self._seen(pictures)

    def read(self, texts: Sequence[str]) -> Texts:
        """See ``Reading``. A text too long is cut by the tokenizer, which keeps the end token whose place is pooled.

        Whoever cuts the tokens themselves loses it, and all long texts get the same features
        (Lightning-AI/torchmetrics#2883).
        """
        limit = self._reader.net.config.max_position_embeddings
        rows, cut = [], []
        for text in texts:  # one at a time: no padding, and a neighbour changes no bit
            whole = self._reader.tokens(text)
            cut.append(whole.shape[1] > limit)
            tokens = self._reader.tokens(text, limit=limit) if cut[-1] else whole
            rows.append(self._reader.net(tokens).text_embeds[0].float().cpu().numpy())
        return Texts(np.array(rows, dtype=np.float64), np.array(cut, dtype=np.bool_))

    @cached_property
    def _reader(self) -> Reader:
        return vision.load_reader(self._weights, auto="CLIPTextModelWithProjection")
