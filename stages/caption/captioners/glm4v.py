"""GLM-4.1V and GLM-4.6V: the successors of CogVLM, whose own code transformers does not hold."""

from collections.abc import Sequence

from stages.caption import chat, transformer
from stages.caption.captioners import Captioner
from stages.caption.chat import Config
from stages.images import Pixels

__all__ = ["Config", "build"]

KINDS = ("glm4v", "glm46v")
CELL = "<|image|>"
LEAST = 112 * 112  # pixels that a smaller picture is enlarged to; the image processor's own lower limit


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""

    def load() -> transformer.Speaker:
        limits = chat.size(config, LEAST)
        speak = chat.speaker(config, kinds=KINDS, placeholder=CELL, expand=chat.cells(CELL), **limits)

        def answers(pixels: Sequence[Pixels]) -> list[str]:
            return [answer(text) for text in speak(pixels)]

        return answers

    return transformer.captioner(__name__, config, load)


def answer(text: str) -> str:
    """What stands in ``text`` after the model has thought; nothing when it did not come to an end."""
    if "<think>" in text and "</think>" not in text:
        return ""
    said = text.rpartition("</think>")[2]
    for mark in ("<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>"):
        said = said.replace(mark, "")
    return said.strip()
