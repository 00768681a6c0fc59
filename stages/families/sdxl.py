"""Stable Diffusion XL: two text encoders, a pooled embedding, and the sizes that a picture had before it was cropped."""

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


def build(config: Config) -> "StableDiffusionXL":
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return StableDiffusionXL(Path(config.folder))


class StableDiffusionXL:
    """The ``Family`` of StableDiffusionXLPipeline. Podell et al., arXiv 2307.01952."""

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
        """See ``Family``."""
        config = self._scheduler.config
        return denoising.Diffusion(self._scheduler.alphas_cumprod, prediction=config.prediction_type)

    @property
    def _autoencoder(self) -> Any:
        from diffusers import AutoencoderKL

        return self._parts.model(AutoencoderKL, "vae")

    @cached_property
    def _words(self) -> dict[str, Any]:
        """Tokenizers and text encoders."""
        from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

        names = ("tokenizer", "tokenizer_2")
        tokenizers = {
            name: CLIPTokenizer.from_pretrained(self._parts.part(name), local_files_only=True) for name in names
        }
        encoders = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
        return tokenizers | {name: self._parts.model(kind, name) for name, kind in encoders.items()}

    @cached_property
    def _scheduler(self) -> Any:
        """DDIM over the folder's schedule, whatever sampler the folder names."""
        from diffusers import DDIMScheduler

        config, _ = DDIMScheduler.load_config(
            self._parts.part("scheduler"), return_unused_kwargs=True, local_files_only=True
        )
        return DDIMScheduler.from_config(config, clip_sample=False, set_alpha_to_one=False)

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``."""
        return pipelines.encode(self._autoencoder, pixels_BHWC)

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        return pipelines.decode(self._autoencoder, latents_BCHW)

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """See ``Family``: ``tokens`` float[B, 77, 2048] and ``pooled`` float[B, 1280].

        No words at all are zeros: so the pipeline has it in guidance (``force_zeros_for_empty_prompt``).
        """
        import torch

        nothing = {"vae": None, "unet": None, "scheduler": self._scheduler, "add_watermarker": False}
        pipeline = pipelines.assembled("StableDiffusionXLPipeline", self._words | nothing)
        with torch.no_grad():
            tokens, _, pooled, _ = pipeline.encode_prompt(
                list(prompts), device=self._parts.device, do_classifier_free_guidance=False
            )
        said = torch.tensor([bool(prompt) for prompt in prompts], device=tokens.device)
        return {"tokens": tokens * said[:, None, None], "pooled": pooled * said[:, None]}

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """See ``Family``."""
        tokenizers = {name: self._words[name] for name in ("tokenizer", "tokenizer_2")}
        return {
            name: pipelines.tokens_lost(each, prompts, most=each.model_max_length) for name, each in tokenizers.items()
        }

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """See ``Family``: ``sizes`` float[6], height and width before the crop, its top and left, height and width after."""
        import torch

        size = (sample.height, sample.width)
        return {"sizes": torch.tensor([*size, 0, 0, *size], dtype=torch.float32)}

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """See ``Family``."""
        added = {"text_embeds": conditions["pooled"], "time_ids": conditions["sizes"]}
        return self.denoiser(
            noisy_BCHW, levels_B, encoder_hidden_states=conditions["tokens"], added_cond_kwargs=added
        ).sample

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
        adapters.load(file, self._pipeline("StableDiffusionXLPipeline"))

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``: DDIM with classifier-free guidance."""
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "width": size[0], "height": size[1]}
        return pipelines.drawn(self._pipeline("StableDiffusionXLPipeline"), prompts, seeds, **how)

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
        return pipelines.drawn(self._pipeline("StableDiffusionXLImg2ImgPipeline"), prompts, seeds, **how)

    def _pipeline(self, name: str) -> Any:
        """``add_watermarker`` off: marks are put on what leaves the house, by whoever lets it out."""
        parts = {"vae": self._autoencoder, "unet": self.denoiser, "scheduler": self._scheduler}
        return pipelines.assembled(name, parts | self._words | {"add_watermarker": False})
