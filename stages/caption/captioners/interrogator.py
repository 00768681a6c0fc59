"""Words from lists: of each list the one whose CLIP embedding is nearest to the picture's, put into a pattern.

The idea is that of CLIP Interrogator (pharmapsychotic, 2022); the lists in ``conf/`` are our own.
"""

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from stages.caption import transformer
from stages.caption.captioners import Captioner
from stages.caption.transformer import Loaded, Model
from stages.config import settings
from stages.images import Pixels


@settings
class Config:
    """The lists, and what is made of the words that win."""

    model: Model
    pattern: str  # with the name of a list in braces wherever its word should stand
    lists: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        named = {name for _, name, _, _ in Formatter().parse(self.pattern) if name is not None}
        if named != set(self.lists):
            odd = ", ".join(sorted(named ^ set(self.lists)))
            raise ValueError(f"pattern and lists must name the same lists; only one of them names {odd}")
        return self


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return transformer.captioner(__name__, config, lambda: _speaker(config))


def _speaker(config: Config) -> transformer.Speaker:
    loaded = transformer.load(config.model, auto="AutoModel", kinds=("clip", "siglip"))
    known = {name: _of_words(loaded, words) for name, words in config.lists.items()}

    def speak(pixels: Sequence[Pixels]) -> list[str]:
        pictures_BD = _of_pictures(loaded, pixels)
        return [config.pattern.format_map(_nearest(picture_D, known, config.lists)) for picture_D in pictures_BD]

    return speak


def _nearest(picture_D: Any, known: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Of each list the word with the greatest cosine; of equal ones the first."""
    return {name: lists[name][int((words_ND @ picture_D).argmax())] for name, words_ND in known.items()}


def _of_words(loaded: Loaded, words: Sequence[str]) -> Any:
    """float32[N, D], each of length 1."""
    import torch

    tokens = loaded.tokenizer(list(words), padding="max_length", truncation=True, return_tensors="pt")
    with torch.inference_mode():
        return _unit(loaded.model.get_text_features(tokens["input_ids"].to(loaded.model.device)))


def _of_pictures(loaded: Loaded, pixels: Sequence[Pixels]) -> Any:
    """float32[B, D], each of length 1."""
    import torch

    seen = loaded.images(images=transformer.pictures(pixels), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        return _unit(loaded.model.get_image_features(seen.to(loaded.model.device, loaded.model.dtype)))


def _unit(found: Any) -> Any:
    vectors = getattr(found, "pooler_output", found).float().cpu()
    return vectors / vectors.norm(dim=-1, keepdim=True)
