"""Flux: a guidance-distilled transformer over packed latents, rectified flow whose shift grows with the picture.

Black Forest Labs, FLUX.1, 2024. It is drawn with Euler's method; guidance is a number that the transformer is told.
"""

from collections.abc import Sequence
from typing import Any

from stages import denoising
from stages.pipelines import Architecture, Conditions, Config, Folder, Pipeline, Tensor, encode_text

TRAINING_GUIDANCE = 1.0  # what the distilled guidance is told in training: the picture itself, not an exaggeration


def process(scheduler: Any) -> denoising.Flow:
    """The shift is that of the sampler, so that training meets the levels that generation does."""
    config = scheduler.config
    if not config.use_dynamic_shifting:
        return denoising.Flow(lambda _: float(config.shift))
    least, most = (config.base_image_seq_len, config.base_shift), (config.max_image_seq_len, config.max_shift)
    return denoising.Flow(lambda size: denoising.token_shift(tokens(size), least=least, most=most))


def conditions(parts: Folder, prompts: Sequence[str], *, max_sequence_length: int) -> dict[str, Tensor]:
    """``tokens`` float[B, 512, 4096] and ``pooled`` float[B, 768]."""
    pooled_BD = encode_text(parts, "", prompts).pooler_output
    return {"tokens": encode_text(parts, "_2", prompts, length=max_sequence_length)[0], "pooled": pooled_BD}


def predict(transformer: Any, noisy_BCHW: Tensor, levels_B: Tensor, given: Conditions) -> Tensor:
    """The transformer's answer; levels are sigmas, and patches of 2 x 2 latents are its tokens."""
    import torch

    height, width = noisy_BCHW.shape[-2:]
    where = {"device": noisy_BCHW.device, "dtype": noisy_BCHW.dtype}
    guidance_B = torch.full((len(noisy_BCHW),), TRAINING_GUIDANCE, **where)
    answer_BLD = transformer(
        hidden_states=packed(noisy_BCHW),
        timestep=levels_B,
        guidance=guidance_B if transformer.config.guidance_embeds else None,
        encoder_hidden_states=given["tokens"],
        pooled_projections=given["pooled"],
        txt_ids=torch.zeros(given["tokens"].shape[1], 3, **where),
        img_ids=positions((height, width)).to(**where),
    ).sample
    return unpacked(answer_BLD, (height, width))


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


ARCHITECTURE = Architecture(
    name="flux",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline"),
    parts={
        "vae": "diffusers.AutoencoderKL",
        "text_encoder": "transformers.CLIPTextModel",
        "text_encoder_2": "transformers.T5EncoderModel",
        "tokenizer": "transformers.CLIPTokenizer",
        "tokenizer_2": "transformers.T5TokenizerFast",
        "transformer": "diffusers.FluxTransformer2DModel",
        "scheduler": "diffusers.FlowMatchEulerDiscreteScheduler",
    },
    process=process,
    conditions=conditions,
    predict=predict,
    most_tokens={"tokenizer_2": 512},
)


def build(config: Config) -> Pipeline:
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return Pipeline(config, ARCHITECTURE)
