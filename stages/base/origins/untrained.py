"""A tiny pipeline of random weights, built without a network: the real path of a family, for trying it on any machine.

What it draws is noise. Its tokenizers know every letter and no words, its parts have the shapes of the real ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from stages.base.origins import Origin
from stages.config import settings
from stages.errors import ModelError
from stages.families.tiny import clip_tokenizer
from stages.pipelines import quiet
from stages.records import Report

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-_/<>"
LENGTH = 77  # tokens of CLIP
# Stable Diffusion's noise schedule, as SDXL's folder states it.
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


@settings
class Config:
    """Which family, and which random weights."""

    family: Literal["sdxl", "sd35", "flux"]
    seed: int


def build(config: Config) -> Origin:
    """The origin over ``config``."""

    def make(_shipped: Path, out: Path, *, train: bool) -> Report:
        if train:
            raise ModelError("base.train: only the tiny family is trained here; set it to false")
        import torch

        quiet()
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            _MAKERS[config.family]().save_pretrained(out)
        return {"trained": 0, "bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file())}

    return make


def _sdxl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    first, second = _clip(CLIPTextModel, projection=24), _clip(CLIPTextModelWithProjection, projection=24)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,  # of both text encoders side by side
        transformer_layers_per_block=(1, 1),
        attention_head_dim=(2, 4),
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,  # the pooled embedding and six sizes
    )
    return StableDiffusionXLPipeline(
        vae=_autoencoder(channels=4, scale=0.13025),
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=clip_tokenizer((), length=LENGTH),
        tokenizer_2=clip_tokenizer((), length=LENGTH),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
        add_watermarker=False,
    )


def _sd35() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=8,
        out_channels=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=24,
    )
    return StableDiffusion3Pipeline(
        vae=_autoencoder(channels=8, scale=1.5305, shift=0.0609),
        text_encoder=_clip(CLIPTextModelWithProjection, projection=32),
        text_encoder_2=_clip(CLIPTextModelWithProjection, projection=32),
        text_encoder_3=_t5(width=64),  # the two of CLIP side by side are padded to its width
        tokenizer=clip_tokenizer((), length=LENGTH),
        tokenizer_2=clip_tokenizer((), length=LENGTH),
        tokenizer_3=_t5_tokenizer(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    return FluxPipeline(
        vae=_autoencoder(channels=4, scale=0.3611, shift=0.1159),
        text_encoder=_clip(CLIPTextModel, projection=32),
        text_encoder_2=_t5(width=32),
        tokenizer=clip_tokenizer((), length=LENGTH),
        tokenizer_2=_t5_tokenizer(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )


_MAKERS: dict[str, Callable[[], Any]] = {"sdxl": _sdxl, "sd35": _sd35, "flux": _flux}


def _autoencoder(*, channels: int, scale: float, shift: float | None = None) -> Any:
    """Half the side; without a shift as SDXL's, with one as SD 3.5's and Flux's, which have no quantisation layers."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        use_quant_conv=shift is None,
        use_post_quant_conv=shift is None,
        scaling_factor=scale,
        shift_factor=shift,
    )


def _clip(kind: Any, *, projection: int) -> Any:
    from transformers import CLIPTextConfig

    tokenizer = clip_tokenizer((), length=LENGTH)
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            projection_dim=projection,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), *((letter, -8.0) for letter in LETTERS)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=64)


def _t5(*, width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=len(_t5_tokenizer()),
            d_model=width,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        )
    )
