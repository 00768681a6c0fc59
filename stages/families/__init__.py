"""Model families: one file each. A family is what knows the parts of its pipeline; the trainer knows no family.

Shapes: B batch, C channels, H and W of pixels or latents, L tokens, D width of a token.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages import plugins
from stages.adapters import Adapter
from stages.denoising import Process
from stages.pipelines import Conditions, Precision, Tensor
from stages.records import Sample


class Family(Protocol):
    """What training, generation and evaluation ask of a family. Latents and predictions are float32[B, C, H, W]."""

    @property
    def denoiser(self) -> Any:
        """The network that answers to noisy latents."""
        ...

    @property
    def networks(self) -> Mapping[str, Any]:
        """The networks that hold an adapter, by their names in the pipeline: ``unet``, ``text_encoder`` …; none at first."""
        ...

    @property
    def process(self) -> Process:
        """How noise is added to latents, and what the denoiser is asked for."""
        ...

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """Latents of uint8[B, H, W, 3] pictures, scaled as the denoiser wants them: the mode, so always the same."""
        ...

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """Pictures of latents, uint8[B, H, W, 3]."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """The conditions of prompts, float32; what is too long for an encoder is cut, its end token kept.

        Gradients reach the text encoders where an adapter is on them.
        """
        ...

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """How many tokens of each prompt ``encode_prompts`` cuts off, by the name of the tokenizer."""
        ...

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """The conditions of one picture that its words do not give, without the batch; most families have none."""
        ...

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """The denoiser's answer to latents at the noise ``levels_B`` of ``process``."""
        ...

    def add_adapter(self, adapter: Adapter) -> None:
        """Give the frozen networks a fresh adapter, drawn from torch's global generator.

        Raises:
            ValueError: when the name of no layer ends as one of the targets.
            ModelError: when a layer is too small for the rank.
        """
        ...

    def save_adapter(self, file: Path) -> None:
        """The adapter as a diffusers safetensors file, the same bytes for the same weights."""
        ...

    def load_adapter(self, file: Path) -> None:
        """Put the adapter of ``file`` on the networks that it is for, at its full strength, and take off what was on.

        Raises:
            ModelError: when there is no such file, or it is for another family.
        """
        ...

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """A picture for each prompt and seed, uint8[B, H, W, 3]; ``size`` is width, height."""
        ...

    def reconstruct(
        self,
        pixels_BHWC: NDArray[np.uint8],
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        strength: float,
        steps: int,
    ) -> NDArray[np.uint8]:
        """Pictures noised to ``strength`` of the way and denoised again by their prompts (image-to-image, SDEdit)."""
        ...


def build(name: str, folder: Path, *, precision: Precision = "fp32") -> Family:
    """The family ``name`` over the diffusers folder ``folder``, its frozen weights kept in ``precision``.

    Raises:
        ConfigError: when there is no such family, or this machine has no such precision.
    """
    family: Family = plugins.build(__name__, {"name": name, "folder": str(folder), "precision": precision})
    return family


def trains_words(family: Family) -> bool:
    """Whether an adapter is on a text encoder: then the conditions of prompts are other than those kept of the base."""
    return any(name.startswith("text_encoder") for name in family.networks)
