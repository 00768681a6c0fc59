"""BLIP-2: one short sentence, quickly. An empty prompt asks for a caption, ``Question: … Answer:`` for an answer."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from stages.caption import transformer
from stages.caption.captioners import Captioner
from stages.caption.transformer import Model
from stages.config import settings
from stages.images import Pixels


@settings
class Config:
    """What is asked, and how long the answer may be."""

    model: Model
    prompt: str
    max_new_tokens: Annotated[int, Field(gt=0)]
    beams: Annotated[int, Field(gt=0)]  # 1 is greedy


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return transformer.captioner(__name__, config, lambda: _speaker(config))


def _speaker(config: Config) -> transformer.Speaker:
    import torch

    loaded = transformer.load(config.model, auto="Blip2ForConditionalGeneration", kinds=("blip-2", "blip_2"))
    known = loaded.model.config
    queries = [known.image_token_id] * known.num_query_tokens  # they stand before the first word, even before BOS
    tokens = torch.tensor(queries + loaded.tokenizer(config.prompt).input_ids)

    def speak(pixels: Sequence[Pixels]) -> list[str]:
        seen = loaded.images(images=transformer.pictures(pixels), return_tensors="pt")
        asked = tokens.repeat(len(pixels), 1)
        inputs = {"pixel_values": seen["pixel_values"], "input_ids": asked, "attention_mask": torch.ones_like(asked)}
        return transformer.generate(loaded, inputs, most=config.max_new_tokens, beams=config.beams)

    return speak
