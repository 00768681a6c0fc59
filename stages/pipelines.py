"""A diffusers folder: its parts, each loaded when it is first asked for, and how pictures go in and come out.

Shapes: B batch, C channels, H and W of pixels or latents.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import machine
from stages.errors import ModelError

Tensor = Any  # a torch.Tensor; torch is imported only where it works


class Folder:
    """The parts of a pipeline that lies in ``path``. A part that nobody asks for is never loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.device = machine.device()
        self._models: dict[str, Any] = {}

    def model(self, kind: Any, name: str) -> Any:
        """The network ``name``, of the class ``kind``, frozen, on the device, float32.

        Raises:
            ModelError: when the folder has no such part.
        """
        if name not in self._models:
            import torch

            part = kind.from_pretrained(self.part(name), torch_dtype=torch.float32, local_files_only=True)
            self._models[name] = part.requires_grad_(False).eval().to(self.device)
        return self._models[name]

    def part(self, name: str) -> Path:
        """Where the part ``name`` lies.

        Raises:
            ModelError: when the folder has no such part.
        """
        quiet()
        if not (self.path / name).is_dir():
            raise ModelError(f"{self.path}: has no folder {name!r}; give a diffusers folder of this family")
        return self.path / name


def assembled(name: str, parts: Mapping[str, Any]) -> Any:
    """The diffusers pipeline ``name`` of ``parts``, silent."""
    import diffusers

    pipeline = getattr(diffusers, name)(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def drawn(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], **how: Any) -> NDArray[np.uint8]:
    """A picture by ``pipeline`` for each prompt and seed, uint8[B, H, W, 3]; ``how`` is as the pipeline names it."""
    return to_uint8(pipeline(prompt=list(prompts), generator=generators(seeds), output_type="np", **how).images)


def encode(autoencoder: Any, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
    """(mode - shift) * scale of the autoencoder's posterior for uint8[B, H, W, 3] pictures: float32[B, C, H, W]."""
    import torch

    pictures = torch.tensor(pixels_BHWC, device=autoencoder.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        mode = autoencoder.encode(pictures).latent_dist.mode()
    return (mode - (autoencoder.config.shift_factor or 0.0)) * autoencoder.config.scaling_factor


def decode(autoencoder: Any, latents_BCHW: Tensor) -> NDArray[np.uint8]:
    """Pictures of latents, uint8[B, H, W, 3]: ``encode`` backwards."""
    import torch

    config = autoencoder.config
    with torch.no_grad():
        pictures = autoencoder.decode(latents_BCHW / config.scaling_factor + (config.shift_factor or 0.0)).sample
    return to_uint8(((pictures + 1) / 2).permute(0, 2, 3, 1).cpu().numpy())


def tokens_lost(tokenizer: Any, prompts: Sequence[str], *, most: int) -> list[int]:
    """How many tokens of each prompt, its marks included, are beyond ``most``."""
    found = tokenizer(list(prompts), truncation=False, padding=False).input_ids
    return [max(0, len(ids) - most) for ids in found]


def generators(seeds: Sequence[int]) -> list[Any]:
    """One generator for each seed, on the CPU: a GPU draws other numbers."""
    import torch

    return [torch.Generator().manual_seed(seed) for seed in seeds]


def to_uint8(pictures: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Pictures of floats in [0, 1] as uint8 of 0 to 255, rounded and not cut: truncation alone costs 51 dB."""
    return np.asarray(np.rint(np.clip(pictures, 0, 1) * 255), dtype=np.uint8)


def quiet() -> None:
    """Silence what the libraries say at every start: no torchvision (we want none), no text-encoder keys in a LoRA."""
    import diffusers
    import transformers

    for library in (transformers, diffusers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
