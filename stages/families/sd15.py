"""Stable Diffusion 1.5 and what has its shape: AutoencoderKL, CLIP text encoder, UNet with cross-attention.

Rombach et al., arXiv 2112.10752. It is drawn with DDIM and classifier-free guidance.
"""

from collections.abc import Sequence
from typing import Any

from stages import denoising
from stages.pipelines import Architecture, Conditions, Config, Folder, Pipeline, Tensor, encode_text


def process(scheduler: Any) -> denoising.Diffusion:
    """The schedule's, for the prediction that it names."""
    return denoising.Diffusion(scheduler.alphas_cumprod, prediction=scheduler.config.prediction_type)


def conditions(parts: Folder, prompts: Sequence[str]) -> dict[str, Tensor]:
    """``tokens`` float[B, 77, 768]."""
    return {"tokens": encode_text(parts, "", prompts)[0]}


def predict(unet: Any, noisy_BCHW: Tensor, levels_B: Tensor, given: Conditions) -> Tensor:
    """The UNet's answer; levels are timesteps."""
    return unet(noisy_BCHW, levels_B, encoder_hidden_states=given["tokens"]).sample


ARCHITECTURE = Architecture(
    name="sd15",
    pipelines=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    parts={
        "vae": "diffusers.AutoencoderKL",
        "text_encoder": "transformers.CLIPTextModel",
        "tokenizer": "transformers.CLIPTokenizer",
        "unet": "diffusers.UNet2DConditionModel",
        "scheduler": "diffusers.DDIMScheduler",
    },
    process=process,
    conditions=conditions,
    predict=predict,
    others={"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
)


def build(config: Config) -> Pipeline:
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return Pipeline(config, ARCHITECTURE)
