"""Stable Diffusion XL: two text encoders, a pooled embedding, and the sizes that a picture had before it was cropped.

Podell et al., arXiv 2307.01952. It is drawn with DDIM and classifier-free guidance.
"""

from collections.abc import Sequence
from typing import Any

from stages.families.sd15 import process
from stages.pipelines import Architecture, Conditions, Config, Folder, Pipeline, Tensor, encode_text
from stages.records import Sample


def conditions(parts: Folder, prompts: Sequence[str]) -> dict[str, Tensor]:
    """``tokens`` float[B, 77, 2048] and ``pooled`` float[B, 1280].

    No words at all are zeros: so the pipeline has it in guidance (``force_zeros_for_empty_prompt``).
    """
    import torch

    first, second = (encode_text(parts, which, prompts, output_hidden_states=True) for which in ("", "_2"))
    tokens_BLD = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    said_B = torch.tensor([bool(prompt) for prompt in prompts], device=tokens_BLD.device)
    return {"tokens": tokens_BLD * said_B[:, None, None], "pooled": second.text_embeds * said_B[:, None]}


def picture_conditions(sample: Sample) -> dict[str, Tensor]:
    """``sizes`` float[6]: height and width of the whole picture, top and left of the crop, height and width after it.

    As the model was trained (section 2.2): the whole picture as it was found, the crop after scaling. A crop that reaches
    beyond the picture's edge starts at it.
    """
    import torch

    before, corner = (sample.source_height, sample.source_width), (max(0, sample.crop_top), max(0, sample.crop_left))
    return {"sizes": torch.tensor([*before, *corner, sample.height, sample.width], dtype=torch.float32)}


def predict(unet: Any, noisy_BCHW: Tensor, levels_B: Tensor, given: Conditions) -> Tensor:
    """The UNet's answer; levels are timesteps."""
    added = {"text_embeds": given["pooled"], "time_ids": given["sizes"]}
    return unet(noisy_BCHW, levels_B, encoder_hidden_states=given["tokens"], added_cond_kwargs=added).sample


ARCHITECTURE = Architecture(
    name="sdxl",
    pipelines=("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    parts={
        "vae": "diffusers.AutoencoderKL",
        "text_encoder": "transformers.CLIPTextModel",
        "text_encoder_2": "transformers.CLIPTextModelWithProjection",
        "tokenizer": "transformers.CLIPTokenizer",
        "tokenizer_2": "transformers.CLIPTokenizer",
        "unet": "diffusers.UNet2DConditionModel",
        "scheduler": "diffusers.DDIMScheduler",
    },
    process=process,
    conditions=conditions,
    predict=predict,
    picture_conditions=picture_conditions,
    sampler={"clip_sample": False, "set_alpha_to_one": False},  # its folder names another sampler, which has neither
    others={"add_watermarker": False},  # marks are put on what leaves the house, by whoever lets it out
)


def build(config: Config) -> Pipeline:
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return Pipeline(config, ARCHITECTURE)
