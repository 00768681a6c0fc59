"""A chat model that sees: one picture and one question in, an answer out.

In the text the picture is a placeholder, which is repeated once for each vector that the model's eye makes of it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages.caption import transformer
from stages.caption.transformer import Loaded, Model, Speaker
from stages.config import settings
from stages.errors import ModelError
from stages.images import Pixels

Expand = Callable[[Loaded, Any, int], str]  # what stands for picture number n of the image processor's outputs


@settings
class Config:
    """What a chat model is asked, and how long it may talk."""

    model: Model
    prompt: Annotated[str, Field(min_length=1)]
    max_new_tokens: Annotated[int, Field(gt=0)]
    beams: Annotated[int, Field(gt=0)]  # 1 is greedy
    max_pixels: Annotated[int, Field(ge=0)]  # a larger picture is made smaller first; 0: as the model's files say


def speaker(config: Config, *, kinds: Sequence[str], placeholder: str, expand: Expand, **how: Any) -> Speaker:
    """What asks the model of ``config``; ``how`` goes to its image processor.

    Raises:
        ModelError: when the model cannot be had, or has no chat template that shows pictures.
    """
    loaded = transformer.load(config.model, auto="AutoModelForImageTextToText", kinds=kinds)
    question = rendered(loaded, config.prompt)
    if question.count(placeholder) != 1:
        raise ModelError(f"{loaded.folder}: its chat template does not show a picture as {placeholder}; take another")

    def speak(pixels: Sequence[Pixels]) -> list[str]:
        seen = loaded.images(images=[[each] for each in transformer.pictures(pixels)], return_tensors="pt", **how)
        texts = [question.replace(placeholder, expand(loaded, seen, n)) for n in range(len(pixels))]
        inputs = {name: value for name, value in seen.items() if name not in ("rows", "cols")} | worded(loaded, texts)
        if "image_grid_thw" in inputs:  # the models with a grid want to know which tokens are its cells
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == loaded.model.config.image_token_id).int()
        return transformer.generate(loaded, inputs, most=config.max_new_tokens, beams=config.beams)

    return speak


def rendered(loaded: Loaded, prompt: str) -> str:
    """The text of one turn that shows a picture and asks ``prompt``, as the model's chat template writes it."""
    template = _template(loaded.folder) or getattr(loaded.tokenizer, "chat_template", None)
    if not template:
        raise ModelError(f"{loaded.folder}: has no chat template; take a model that was taught to answer")
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    how = {"add_generation_prompt": True, "tokenize": False, "enable_thinking": False}
    return str(
        loaded.tokenizer.apply_chat_template([{"role": "user", "content": content}], chat_template=template, **how)
    )


def worded(loaded: Loaded, texts: Sequence[str]) -> dict[str, Any]:
    """Token ids and mask of ``texts``, filled up on the left: the answers all start at the same place."""
    first = loaded.tokenizer.bos_token
    doubled = bool(first) and texts[0].startswith(first)
    found = loaded.tokenizer(
        list(texts), padding=True, padding_side="left", add_special_tokens=not doubled, return_tensors="pt"
    )
    return {name: found[name] for name in ("input_ids", "attention_mask")}


def cells(placeholder: str) -> Expand:
    """``placeholder`` once for each cell of the picture's grid, after neighbours were merged."""

    def expand(loaded: Loaded, seen: Any, number: int) -> str:
        return placeholder * int(seen["image_grid_thw"][number].prod() // loaded.images.merge_size**2)

    return expand


def size(config: Config, least: int) -> dict[str, Any]:
    """The limits in pixels (of area, in spite of their names) for an image processor that makes a grid."""
    if not config.max_pixels:
        return {}
    return {"size": {"shortest_edge": min(least, config.max_pixels), "longest_edge": config.max_pixels}}


def _template(folder: Path) -> str:
    """The template of the processor, which older models keep in a file of its own."""
    file = folder / "chat_template.json"
    return str(json.loads(file.read_bytes())["chat_template"]) if file.is_file() else ""
