"""Florence-2: small and quick, at three lengths. Take a model of ``florence-community``: Microsoft's want foreign code."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from stages.caption import transformer
from stages.caption.captioners import Captioner
from stages.caption.transformer import Model
from stages.config import settings
from stages.images import Pixels

Detail = Literal["sentence", "sentences", "paragraph"]

# The three tasks that it was taught, as Florence2Processor writes them.
TASKS: dict[Detail, str] = {
    "sentence": "What does the image describe?",
    "sentences": "Describe in detail what is shown in the image.",
    "paragraph": "Describe with a paragraph what is shown in the image.",
}


@settings
class Config:
    """How much is said."""

    model: Model
    detail: Detail
    max_new_tokens: Annotated[int, Field(gt=0)]
    beams: Annotated[int, Field(gt=0)]  # 1 is greedy


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return transformer.captioner(__name__, config, lambda: _speaker(config))


def _speaker(config: Config) -> transformer.Speaker:
    import torch

    loaded = transformer.load(config.model, auto="Florence2ForConditionalGeneration", kinds=("florence2",))
    words = loaded.tokenizer
    cells = [loaded.model.config.image_token_id] * loaded.images.image_seq_length
    text = f"{words.bos_token}{TASKS[config.detail]}{words.eos_token}"
    tokens = torch.tensor(cells + words(text, add_special_tokens=False).input_ids)

    def speak(pixels: Sequence[Pixels]) -> list[str]:
        seen = loaded.images(images=transformer.pictures(pixels), return_tensors="pt")
        asked = tokens.repeat(len(pixels), 1)
        inputs = {"pixel_values": seen["pixel_values"], "input_ids": asked, "attention_mask": torch.ones_like(asked)}
        return transformer.generate(loaded, inputs, most=config.max_new_tokens, beams=config.beams)

    return speak
