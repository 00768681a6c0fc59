"""A Stable Diffusion small enough to be trained on a laptop: the path of SD 1.5 with 2 million weights.

It is an ordinary diffusers folder, so all that ``sd15`` does holds; here is only how an untrained one is made.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from stages.config import settings
from stages.families.sd15 import build
from stages.pipelines import Config

__all__ = ["Config", "Shape", "build", "clip_tokenizer", "untrained"]

GROUPS = 8  # of group normalisation; every channel count is a multiple of it


@settings
class Shape:
    """The size of each part. One level of channels more halves the side once more."""

    resolution: Annotated[int, Field(gt=0, multiple_of=8)]  # pixels of a side
    autoencoder_channels: tuple[int, ...]
    denoiser_channels: tuple[int, ...]  # cross-attention on all levels but the first
    text_width: Annotated[int, Field(gt=0, multiple_of=4)]  # of a token's embedding
    text_layers: Annotated[int, Field(gt=0)]
    text_length: Annotated[int, Field(gt=2)]  # tokens, the two marks included


def untrained(shape: Shape, words: Sequence[str]) -> Any:
    """A StableDiffusionPipeline of ``shape`` with random weights, whose tokenizer has one token for each of ``words``."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer = clip_tokenizer(words, length=shape.text_length)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
    return StableDiffusionPipeline(
        vae=_autoencoder(shape),
        text_encoder=_text_encoder(shape, tokenizer),
        tokenizer=tokenizer,
        unet=_denoiser(shape),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def clip_tokenizer(words: Sequence[str], *, length: int) -> Any:
    """CLIP's byte-level BPE from nothing: any text can be encoded, and each of ``words`` is one token."""
    from transformers import CLIPTokenizer

    symbols = _byte_symbols()
    vocabulary = dict.fromkeys([*symbols, *(symbol + "</w>" for symbol in symbols)])
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges[parts[0], parts[1]] = None
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary[parts[0]] = None
    tokens = [*vocabulary, "<|startoftext|>", "<|endoftext|>"]  # last, as in CLIP: the greatest id marks the end
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, merges=list(merges), model_max_length=length
    )


def _byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes of byte-level BPE (GPT-2, CLIP), in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _autoencoder(shape: Shape) -> Any:
    from diffusers import AutoencoderKL

    levels = len(shape.autoencoder_channels)
    return AutoencoderKL(
        latent_channels=4,
        block_out_channels=shape.autoencoder_channels,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=GROUPS,
        sample_size=shape.resolution,
        mid_block_add_attention=False,
    )


def _text_encoder(shape: Shape, tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.text_width,
            intermediate_size=2 * shape.text_width,
            projection_dim=shape.text_width,
            num_hidden_layers=shape.text_layers,
            num_attention_heads=4,
            max_position_embeddings=shape.text_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _denoiser(shape: Shape) -> Any:
    from diffusers import UNet2DConditionModel

    inner = len(shape.denoiser_channels) - 1
    return UNet2DConditionModel(
        sample_size=shape.resolution // 2 ** (len(shape.autoencoder_channels) - 1),
        block_out_channels=shape.denoiser_channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * inner),
        up_block_types=(*("CrossAttnUpBlock2D",) * inner, "UpBlock2D"),
        cross_attention_dim=shape.text_width,
        attention_head_dim=4,
        norm_num_groups=GROUPS,
    )
