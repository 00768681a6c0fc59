"""Stable Diffusion 1.5 and what has its shape: AutoencoderKL, CLIP text encoder, UNet with cross-attention."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import adapters, denoising, pipelines
from stages.config import settings
from stages.families import Conditions, Tensor
from stages.records import Sample


@settings
class Config:
    """Where the pipeline lies."""

    folder: str  # a diffusers folder


def build(config: Config) -> "StableDiffusion":
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return StableDiffusion(Path(config.folder))


class StableDiffusion:
    """The ``Family`` of StableDiffusionPipeline."""

    def __init__(self, folder: Path) -> None:
        self._parts = pipelines.Folder(folder)
        self.networks: Mapping[str, Any] = {}

    @property
    def denoiser(self) -> Any:
        """The UNet."""
        from diffusers import UNet2DConditionModel

        return self._parts.model(UNet2DConditionModel, "unet")

    @cached_property
    def process(self) -> denoising.Diffusion:
        """See ``Family``: the schedule's, for the prediction that it names."""
        config = self._scheduler.config
        return denoising.Diffusion(self._scheduler.alphas_cumprod, prediction=config.prediction_type)

    @property
    def _autoencoder(self) -> Any:
        from diffusers import AutoencoderKL

        return self._parts.model(AutoencoderKL, "vae")

    @property
    def _text_encoder(self) -> Any:
        from transformers import CLIPTextModel

        return self._parts.model(CLIPTextModel, "text_encoder")

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self._parts.part("tokenizer"), local_files_only=True)

    @cached_property
    def _scheduler(self) -> Any:
        from diffusers import DDIMScheduler

        return DDIMScheduler.from_pretrained(self._parts.part("scheduler"), local_files_only=True)

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``."""
        return pipelines.encode(self._autoencoder, pixels_BHWC)

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        return pipelines.decode(self._autoencoder, latents_BCHW)

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """See ``Family``: ``tokens`` float[B, 77, 768]."""
        import torch

        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            return {"tokens": self._text_encoder(tokens.input_ids.to(self._parts.device))[0]}

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """See ``Family``."""
        return {"tokenizer": pipelines.tokens_lost(self._tokenizer, prompts, most=self._tokenizer.model_max_length)}

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """See ``Family``: none."""
        return {}

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """See ``Family``."""
        return self.denoiser(noisy_BCHW, levels_B, encoder_hidden_states=conditions["tokens"]).sample

    def add_adapter(self, adapter: adapters.Adapter) -> None:
        """See ``Family``."""
        adapters.add(self.denoiser, adapter, adapter.targets)
        self.networks = {"unet": self.denoiser}

    def save_adapter(self, file: Path) -> None:
        """See ``Family``."""
        adapters.save(file, self.networks)

    def load_adapter(self, file: Path) -> None:
        """See ``Family``."""
        self.networks = {"unet": self.denoiser}
        adapters.load(file, self._pipeline("StableDiffusionPipeline"))

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``: DDIM with classifier-free guidance."""
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "width": size[0], "height": size[1]}
        return pipelines.drawn(self._pipeline("StableDiffusionPipeline"), prompts, seeds, **how)

    def reconstruct(
        self,
        pixels_BHWC: NDArray[np.uint8],
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        strength: float,
        steps: int,
    ) -> NDArray[np.uint8]:
        """See ``Family``: without classifier-free guidance."""
        image = pixels_BHWC.astype(np.float32) / 255
        how = {"image": image, "strength": strength, "num_inference_steps": steps, "guidance_scale": 1.0}
        return pipelines.drawn(self._pipeline("StableDiffusionImg2ImgPipeline"), prompts, seeds, **how)

    def _pipeline(self, name: str) -> Any:
        parts = {"vae": self._autoencoder, "text_encoder": self._text_encoder, "tokenizer": self._tokenizer}
        parts |= {"unet": self.denoiser, "scheduler": self._scheduler}
        unused = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return pipelines.assembled(name, parts | unused)
