"""Stable Diffusion 3.5: three text encoders, a multimodal transformer, rectified flow with a fixed shift."""

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

MOST_TOKENS = 256  # of T5, as the pipeline has it


@settings
class Config:
    """Where the pipeline lies."""

    folder: str  # a diffusers folder


def build(config: Config) -> "StableDiffusion3":
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return StableDiffusion3(Path(config.folder))


class StableDiffusion3:
    """The ``Family`` of StableDiffusion3Pipeline. Esser et al., arXiv 2403.03206."""

    def __init__(self, folder: Path) -> None:
        self._parts = pipelines.Folder(folder)
        self.networks: Mapping[str, Any] = {}

    @property
    def denoiser(self) -> Any:
        """The transformer."""
        from diffusers import SD3Transformer2DModel

        return self._parts.model(SD3Transformer2DModel, "transformer")

    @cached_property
    def process(self) -> denoising.Flow:
        """See ``Family``: the shift is the scheduler's, the same for every size."""
        shift = float(self._scheduler.config.shift)
        return denoising.Flow(lambda _: shift)

    @property
    def _autoencoder(self) -> Any:
        from diffusers import AutoencoderKL

        return self._parts.model(AutoencoderKL, "vae")

    @cached_property
    def _words(self) -> dict[str, Any]:
        """Tokenizers and text encoders."""
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

        kinds = {"tokenizer": CLIPTokenizer, "tokenizer_2": CLIPTokenizer, "tokenizer_3": T5TokenizerFast}
        tokenizers = {
            name: kind.from_pretrained(self._parts.part(name), local_files_only=True) for name, kind in kinds.items()
        }
        encoders = dict.fromkeys(("text_encoder", "text_encoder_2"), CLIPTextModelWithProjection)
        encoders |= {"text_encoder_3": T5EncoderModel}
        return tokenizers | {name: self._parts.model(kind, name) for name, kind in encoders.items()}

    @cached_property
    def _scheduler(self) -> Any:
        from diffusers import FlowMatchEulerDiscreteScheduler

        return FlowMatchEulerDiscreteScheduler.from_pretrained(self._parts.part("scheduler"), local_files_only=True)

    @property
    def _most_tokens(self) -> int:
        return min(MOST_TOKENS, int(self._words["tokenizer_3"].model_max_length))

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``."""
        return pipelines.encode(self._autoencoder, pixels_BHWC)

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        return pipelines.decode(self._autoencoder, latents_BCHW)

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """See ``Family``: ``tokens`` float[B, 77 + 256, 4096] and ``pooled`` float[B, 2048]."""
        import torch

        nothing = {"vae": None, "transformer": None, "scheduler": self._scheduler}
        pipeline = pipelines.assembled("StableDiffusion3Pipeline", self._words | nothing)
        with torch.no_grad():
            tokens, _, pooled, _ = pipeline.encode_prompt(
                list(prompts),
                None,
                None,
                device=self._parts.device,
                do_classifier_free_guidance=False,
                max_sequence_length=self._most_tokens,
            )
        return {"tokens": tokens, "pooled": pooled}

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """See ``Family``."""
        tokenizers = {name: self._words[name] for name in ("tokenizer", "tokenizer_2", "tokenizer_3")}
        most = {name: each.model_max_length for name, each in tokenizers.items()} | {"tokenizer_3": self._most_tokens}
        return {name: pipelines.tokens_lost(each, prompts, most=most[name]) for name, each in tokenizers.items()}

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """See ``Family``: none."""
        return {}

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """See ``Family``: the transformer counts sigma in thousandths."""
        return self.denoiser(
            hidden_states=noisy_BCHW,
            timestep=1000 * levels_B,
            encoder_hidden_states=conditions["tokens"],
            pooled_projections=conditions["pooled"],
        ).sample

    def add_adapter(self, adapter: adapters.Adapter) -> None:
        """See ``Family``."""
        adapters.add(self.denoiser, adapter, adapter.targets)
        self.networks = {"transformer": self.denoiser}

    def save_adapter(self, file: Path) -> None:
        """See ``Family``."""
        adapters.save(file, self.networks)

    def load_adapter(self, file: Path) -> None:
        """See ``Family``."""
        self.networks = {"transformer": self.denoiser}
        adapters.load(file, self._pipeline("StableDiffusion3Pipeline"))

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``: Euler with classifier-free guidance."""
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "width": size[0], "height": size[1]}
        pipeline = self._pipeline("StableDiffusion3Pipeline")
        return pipelines.drawn(pipeline, prompts, seeds, max_sequence_length=self._most_tokens, **how)

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
        height, width = pixels_BHWC.shape[1:3]
        how: dict[str, Any] = {"strength": strength, "num_inference_steps": steps, "guidance_scale": 1.0}
        how |= {"image": pixels_BHWC.astype(np.float32) / 255, "height": height, "width": width}
        pipeline = self._pipeline("StableDiffusion3Img2ImgPipeline")
        return pipelines.drawn(pipeline, prompts, seeds, max_sequence_length=self._most_tokens, **how)

    def _pipeline(self, name: str) -> Any:
        parts = {"vae": self._autoencoder, "transformer": self.denoiser, "scheduler": self._scheduler}
        return pipelines.assembled(name, parts | self._words)
