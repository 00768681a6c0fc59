"""Models of transformers that see pictures, and what reads beside them: one picture, one text at a time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from stages import machine, pinned
from stages.config import settings
from stages.images import Pixels


@settings
class Weights:
    """Which weights."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]  # of the Hugging Face hub
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, so that it is always the same model
    folder: str  # a folder with the model to take instead; empty: ask the hub


@dataclass(frozen=True, slots=True)
class Eye:
    """A model and what makes its input of a picture."""

    net: Any
    images: Any  # the image processor

    def input(self, pixels: Pixels) -> Any:
        """``pixels``, uint8[H, W, 3], as the model wants them: float32[1, 3, h, w]."""
        image = Image.fromarray(pixels)
        return self.images(images=image, return_tensors="pt")["pixel_values"].to(machine.device())


def load(weights: Weights, *, auto: str) -> Eye:
    """The model and its image processor. ``auto`` is the class of transformers that makes the model.

    Raises:
        ModelError: when it cannot be had, or not all of it as safetensors.
    """
    folder = pinned.found(weights, where="weights of the model")
    return Eye(pinned.network(folder, auto), pinned.image_processor(folder))


class Sight:
    """A model that makes a vector of a picture. It is loaded when it first sees one, and can say before what it is."""

    def __init__(self, weights: Weights, *, auto: str, output: str) -> None:
        self._weights, self._auto, self._output = weights, auto, output

    @cached_property
    def identity(self) -> str:
        """What the weights are called; other weights, another name."""
        return pinned.identity(self._weights)

    @cached_property
    def eye(self) -> Eye:
        """The model, loaded."""
        return load(self._weights, auto=self._auto)

    def vector(self, image_BCHW: Any) -> Any:
        """What it has, float[D], of the one picture in ``image_BCHW``."""
        return getattr(self.eye.net(image_BCHW), self._output)[0]


def clip(weights: Weights) -> Sight:
    """The picture's side of CLIP: its projected features. Radford et al., ICML 2021."""
    return Sight(weights, auto="CLIPVisionModelWithProjection", output="image_embeds")


def dinov2(weights: Weights) -> Sight:
    """DINOv2: its class token after the last norm. Oquab et al., TMLR 2024."""
    return Sight(weights, auto="Dinov2Model", output="pooler_output")


@dataclass(frozen=True, slots=True)
class Reader:
    """A model and what makes its input of a text."""

    net: Any
    tokenizer: Any

    def tokens(self, text: str, *, limit: int | None = None) -> Any:
        """``text`` as int64[1, L], start and end included, of at most ``limit`` tokens."""
        made = self.tokenizer(text, truncation=limit is not None, max_length=limit, return_tensors="pt", verbose=False)
        return made["input_ids"].to(machine.device())


def load_reader(weights: Weights, *, auto: str) -> Reader:
    """The model and its tokenizer. ``auto`` is the class of transformers that makes the model.

    Raises:
        ModelError: when it cannot be had, or not all of it as safetensors.
    """
    folder = pinned.found(weights, where="weights of the model")
    return Reader(pinned.network(folder, auto), pinned.tokenizer(folder))
