"""A tiny pipeline of random weights, built without a network: the real path of a family, for trying it on any machine.

What it draws is noise. Its tokenizers know every letter and no words, its parts have the shapes of the real ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from stages.base import origins
from stages.base.origins import Origin
from stages.config import settings
from stages.families.tiny import clip_tokenizer
from stages.pipelines import quiet
from stages.records import Report

Family = Literal["sd15", "sdxl", "sd35", "flux"]
Sizes = Mapping[str, Mapping[str, Any]]  # what each network is built of, by its name in the pipeline

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-_/<>"
LENGTH = 77  # tokens of CLIP
LONG = 64  # tokens of T5

# What the networks of each pipeline are, and how it is sampled, as the released folders state it.
DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
PIPELINES: dict[Family, tuple[str, Mapping[str, str], str, Mapping[str, Any]]] = {
    "sd15": (
        "StableDiffusionPipeline",
        {"vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "unet": "UNet2DConditionModel"},
        "DDIMScheduler",
        DIFFUSION | {"clip_sample": False, "set_alpha_to_one": False},
    ),
    "sdxl": (
        "StableDiffusionXLPipeline",
        {
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModel",
            "text_encoder_2": "CLIPTextModelWithProjection",
            "unet": "UNet2DConditionModel",
        },
        "EulerDiscreteScheduler",
        DIFFUSION,
    ),
    "sd35": (
        "StableDiffusion3Pipeline",
        {
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModelWithProjection",
            "text_encoder_2": "CLIPTextModelWithProjection",
            "text_encoder_3": "T5EncoderModel",
            "transformer": "SD3Transformer2DModel",
        },
        "FlowMatchEulerDiscreteScheduler",
        {"shift": 3.0},
    ),
    "flux": (
        "FluxPipeline",
        {
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModel",
            "text_encoder_2": "T5EncoderModel",
            "transformer": "FluxTransformer2DModel",
        },
        "FlowMatchEulerDiscreteScheduler",
        {"shift": 3.0, "use_dynamic_shifting": True},
    ),
}

# The tiny sizes. The real ones differ in numbers alone.
CLIP = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
T5 = {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
VAE = {
    "block_out_channels": (8, 16),  # so half the side
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 32,
}
UNET = {
    "sample_size": 16,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
}
PLAIN = {"use_quant_conv": False, "use_post_quant_conv": False}  # an autoencoder with a shift has no such layers
TINY: dict[Family, Sizes] = {
    "sd15": {
        "vae": VAE | {"scaling_factor": 0.18215},
        "text_encoder": CLIP | {"projection_dim": 32},
        "unet": UNET | {"cross_attention_dim": 32, "attention_head_dim": 4},
    },
    "sdxl": {
        "vae": VAE | {"scaling_factor": 0.13025},
        "text_encoder": CLIP | {"projection_dim": 24},
        "text_encoder_2": CLIP | {"projection_dim": 24},
        "unet": UNET
        | {
            "cross_attention_dim": 64,  # of both text encoders side by side
            "transformer_layers_per_block": (1, 1),
            "attention_head_dim": (2, 4),
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 24 + 6 * 8,  # the pooled embedding and six sizes
        },
    },
    "sd35": {
        "vae": VAE | PLAIN | {"latent_channels": 8, "scaling_factor": 1.5305, "shift_factor": 0.0609},
        "text_encoder": CLIP | {"projection_dim": 32},
        "text_encoder_2": CLIP | {"projection_dim": 32},
        "text_encoder_3": T5 | {"d_model": 64},  # the two of CLIP side by side are padded to its width
        "transformer": {
            "sample_size": 16,
            "patch_size": 2,
            "in_channels": 8,
            "out_channels": 8,
            "num_layers": 2,
            "attention_head_dim": 8,
            "num_attention_heads": 4,
            "joint_attention_dim": 64,
            "caption_projection_dim": 32,
            "pooled_projection_dim": 64,
            "pos_embed_max_size": 24,
        },
    },
    "flux": {
        "vae": VAE | PLAIN | {"latent_channels": 4, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        "text_encoder": CLIP | {"projection_dim": 32},
        "text_encoder_2": T5 | {"d_model": 32},
        "transformer": {
            "patch_size": 1,
            "in_channels": 16,
            "num_layers": 1,
            "num_single_layers": 2,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 32,
            "pooled_projection_dim": 32,
            "guidance_embeds": True,
            "axes_dims_rope": (4, 4, 8),
        },
    },
}


@settings
class Config:
    """Which family, and which random weights."""

    family: Family
    seed: int


def build(config: Config) -> Origin:
    """The origin over ``config``."""

    def make(_shipped: Path, out: Path, *, train: bool) -> Report:
        origins.refuse_training(train)
        import torch

        quiet()
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            pipeline(config.family, TINY[config.family]).save_pretrained(out)
        return {"trained": 0, "bytes": origins.size(out)}

    return make


def pipeline(family: Family, sizes: Sizes) -> Any:
    """The diffusers pipeline of ``family``, its networks of ``sizes``, drawn from torch's global generator."""
    import diffusers

    name, networks, scheduler, sampling = PIPELINES[family]
    parts = {part: _network(kind, sizes[part]) for part, kind in networks.items()}
    tokenizers = {
        part.replace("text_encoder", "tokenizer"): _tokenizer(kind)
        for part, kind in networks.items()
        if part.startswith("text_encoder")
    }
    optional = {"sd15": {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}}
    return getattr(diffusers, name)(
        **parts,
        **tokenizers,
        scheduler=getattr(diffusers, scheduler)(**sampling),
        **optional.get(family, {}),
    )


def _network(kind: str, sizes: Mapping[str, Any]) -> Any:
    import diffusers
    import transformers

    if kind == "T5EncoderModel":
        words = {"vocab_size": len(_tokenizer(kind)), "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
        return transformers.T5EncoderModel(transformers.T5Config(**words, **sizes))
    if kind.startswith("CLIP"):
        tokenizer = _tokenizer(kind)
        words = {"vocab_size": len(tokenizer), "max_position_embeddings": LENGTH}
        words |= {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
        return getattr(transformers, kind)(transformers.CLIPTextConfig(**words, **sizes))
    return getattr(diffusers, kind)(**sizes)


def _tokenizer(kind: str) -> Any:
    from transformers import T5TokenizerFast

    if kind.startswith("CLIP"):
        return clip_tokenizer((), length=LENGTH)
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *((letter, -8.0) for letter in LETTERS)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=LONG)
