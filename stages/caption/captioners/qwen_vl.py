"""Qwen2-VL, Qwen2.5-VL, Qwen3-VL: ask them anything; the best words here, and the slowest."""

from stages.caption import chat, transformer
from stages.caption.captioners import Captioner
from stages.caption.chat import Config

__all__ = ["Config", "build"]

KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
CELL = "<|image_pad|>"
LEAST = 56 * 56  # pixels that a smaller picture is enlarged to; the image processor's own lower limit


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""

    def load() -> transformer.Speaker:
        return chat.speaker(config, kinds=KINDS, placeholder=CELL, expand=chat.cells(CELL), **chat.size(config, LEAST))

    return transformer.captioner(__name__, config, load)
