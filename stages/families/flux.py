"""Flux: a guidance-distilled transformer over packed latents, rectified flow whose shift grows with the picture."""

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

MOST_TOKENS = 512  # of T5, as the pipeline has it
TRAINING_GUIDANCE = 1.0  # what the distilled guidance is told in training: the picture itself, not an exaggeration


@settings
class Config:
    """Where the pipeline lies."""

    folder: str  # a diffusers folder


def build(config: Config) -> "Flux":
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return Flux(Path(config.folder))


class Flux:
    """The ``Family`` of FluxPipeline. Black Forest Labs, FLUX.1, 2024."""

    def __init__(self, folder: Path) -> None:
        self._parts = pipelines.Folder(folder)
        self.networks: Mapping[str, Any] = {}

    @property
    def denoiser(self) -> Any:
        """The transformer."""
        from diffusers import FluxTransformer2DModel

        return self._parts.model(FluxTransformer2DModel, "transformer")

    @cached_property
    def process(self) -> denoising.Flow:
        """See ``Family``: the shift is that of the sampler, so that training meets the levels that generation does."""
        config = self._scheduler.config
        if not config.use_dynamic_shifting:
            return denoising.Flow(lambda _: float(config.shift))
        least, most = (config.base_image_seq_len, config.base_shift), (config.max_image_seq_len, config.max_shift)
        return denoising.Flow(lambda size: denoising.token_shift(tokens(size), least=least, most=most))

    @property
    def _autoencoder(self) -> Any:
        from diffusers import AutoencoderKL

        return self._parts.model(AutoencoderKL, "vae")

    @cached_property
    def _words(self) -> dict[str, Any]:
        """Tokenizers and text encoders."""
        from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

        kinds = {"tokenizer": CLIPTokenizer, "tokenizer_2": T5TokenizerFast}
        tokenizers = {
            name: kind.from_pretrained(self._parts.part(name), local_files_only=True) for name, kind in kinds.items()
        }
        encoders = {"text_encoder": CLIPTextModel, "text_encoder_2": T5EncoderModel}
        return tokenizers | {name: self._parts.model(kind, name) for name, kind in encoders.items()}

    @cached_property
    def _scheduler(self) -> Any:
        from diffusers import FlowMatchEulerDiscreteScheduler

        return FlowMatchEulerDiscreteScheduler.from_pretrained(self._parts.part("scheduler"), local_files_only=True)

    @property
    def _most_tokens(self) -> int:
        return min(MOST_TOKENS, int(self._words["tokenizer_2"].model_max_length))

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``."""
        return pipelines.encode(self._autoencoder, pixels_BHWC)

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        return pipelines.decode(self._autoencoder, latents_BCHW)

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """See ``Family``: ``tokens`` float[B, 512, 4096] and ``pooled`` float[B, 768]."""
        import torch

        nothing = {"vae": None, "transformer": None, "scheduler": self._scheduler}
        pipeline = pipelines.assembled("FluxPipeline", self._words | nothing)
        with torch.no_grad():
            tokens_BLD, pooled_BD, _ = pipeline.encode_prompt(
                list(prompts), None, device=self._parts.device, max_sequence_length=self._most_tokens
            )
        return {"tokens": tokens_BLD, "pooled": pooled_BD}

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """See ``Family``."""
        tokenizers = {name: self._words[name] for name in ("tokenizer", "tokenizer_2")}
        most = {"tokenizer": tokenizers["tokenizer"].model_max_length, "tokenizer_2": self._most_tokens}
        return {name: pipelines.tokens_lost(each, prompts, most=most[name]) for name, each in tokenizers.items()}

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """See ``Family``: none."""
        return {}

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """See ``Family``: patches of 2 x 2 latents are the transformer's tokens."""
        import torch

        height, width = noisy_BCHW.shape[-2:]
        where = {"device": noisy_BCHW.device, "dtype": noisy_BCHW.dtype}
        guidance_B = torch.full((len(noisy_BCHW),), TRAINING_GUIDANCE, **where)
        answer_BLD = self.denoiser(
            hidden_states=packed(noisy_BCHW),
            timestep=levels_B,
            guidance=guidance_B if self.denoiser.config.guidance_embeds else None,
            encoder_hidden_states=conditions["tokens"],
            pooled_projections=conditions["pooled"],
            txt_ids=torch.zeros(conditions["tokens"].shape[1], 3, **where),
            img_ids=positions((height, width)).to(**where),
        ).sample
        return unpacked(answer_BLD, (height, width))

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
        adapters.load(file, self._pipeline("FluxPipeline"))

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``: Euler; ``guidance`` is what the distilled guidance is told."""
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "width": size[0], "height": size[1]}
        pipeline = self._pipeline("FluxPipeline")
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
        """See ``Family``: told the guidance of training."""
        height, width = pixels_BHWC.shape[1:3]
        how: dict[str, Any] = {"strength": strength, "num_inference_steps": steps, "guidance_scale": TRAINING_GUIDANCE}
        how |= {"image": pixels_BHWC.astype(np.float32) / 255, "height": height, "width": width}
        pipeline = self._pipeline("FluxImg2ImgPipeline")
        return pipelines.drawn(pipeline, prompts, seeds, max_sequence_length=self._most_tokens, **how)

    def _pipeline(self, name: str) -> Any:
        parts = {"vae": self._autoencoder, "transformer": self.denoiser, "scheduler": self._scheduler}
        return pipelines.assembled(name, parts | self._words)


def tokens(size: denoising.Size) -> int:
    """How many tokens latents of ``size`` are packed into: one for each 2 x 2."""
    return (size[0] // 2) * (size[1] // 2)


def packed(latents_BCHW: Tensor) -> Tensor:
    """Latents as the transformer's tokens, [B, H/2 W/2, 4 C]: the channels of each 2 x 2 patch side by side."""
    count, channels, height, width = latents_BCHW.shape
    patches = latents_BCHW.reshape(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(count, tokens((height, width)), 4 * channels)


def unpacked(tokens_BLD: Tensor, size: denoising.Size) -> Tensor:
    """``packed`` backwards, to latents of ``size``."""
    count, _, width_of_token = tokens_BLD.shape
    channels = width_of_token // 4
    patches = tokens_BLD.reshape(count, size[0] // 2, size[1] // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(count, channels, *size)


def positions(size: denoising.Size) -> Tensor:
    """Zero, row and column of each token: float[L, 3]."""
    import torch

    rows, columns = torch.meshgrid(torch.arange(size[0] // 2), torch.arange(size[1] // 2), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).reshape(-1, 3)
