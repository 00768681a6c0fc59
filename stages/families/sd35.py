"""Stable Diffusion 3.5: three text encoders, a multimodal transformer, rectified flow with a fixed shift.

Esser et al., arXiv 2403.03206. It is drawn with Euler's method and classifier-free guidance.
"""

from collections.abc import Sequence
from typing import Any

from stages import denoising
from stages.pipelines import Architecture, Conditions, Config, Folder, Pipeline, Tensor, encode_text


def process(scheduler: Any) -> denoising.Flow:
    """The shift is the scheduler's, the same for every size."""
    shift = float(scheduler.config.shift)
    return denoising.Flow(lambda _: shift)


def conditions(parts: Folder, prompts: Sequence[str], *, max_sequence_length: int) -> dict[str, Tensor]:
    """``tokens`` float[B, 77 + 256, 4096] and ``pooled`` float[B, 2048]: CLIP's side by side, and T5's after them."""
    import torch

    clips = [encode_text(parts, which, prompts, output_hidden_states=True) for which in ("", "_2")]
    clip_BLD = torch.cat([clip.hidden_states[-2] for clip in clips], dim=-1)
    t5_BLD = encode_text(parts, "_3", prompts, length=max_sequence_length)[0]
    clip_BLD = torch.nn.functional.pad(clip_BLD, (0, t5_BLD.shape[-1] - clip_BLD.shape[-1]))
    pooled_BD = torch.cat([clip.text_embeds for clip in clips], dim=-1)
    return {"tokens": torch.cat([clip_BLD, t5_BLD], dim=-2), "pooled": pooled_BD}


def predict(transformer: Any, noisy_BCHW: Tensor, levels_B: Tensor, given: Conditions) -> Tensor:
    """The transformer's answer; levels are sigmas, which it counts in thousandths."""
    return transformer(
        hidden_states=noisy_BCHW,
        timestep=1000 * levels_B,
        encoder_hidden_states=given["tokens"],
        pooled_projections=given["pooled"],
    ).sample


ARCHITECTURE = Architecture(
    name="sd35",
    pipelines=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
    parts={
        "vae": "diffusers.AutoencoderKL",
        "text_encoder": "transformers.CLIPTextModelWithProjection",
        "text_encoder_2": "transformers.CLIPTextModelWithProjection",
        "text_encoder_3": "transformers.T5EncoderModel",
        "tokenizer": "transformers.CLIPTokenizer",
        "tokenizer_2": "transformers.CLIPTokenizer",
        "tokenizer_3": "transformers.T5TokenizerFast",
        "transformer": "diffusers.SD3Transformer2DModel",
        "scheduler": "diffusers.FlowMatchEulerDiscreteScheduler",
    },
    process=process,
    conditions=conditions,
    predict=predict,
    most_tokens={"tokenizer_3": 256},
)


def build(config: Config) -> Pipeline:
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return Pipeline(config, ARCHITECTURE)
