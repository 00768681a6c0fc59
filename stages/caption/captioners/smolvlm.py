"""SmolVLM and SmolVLM2: small chat models that see, for a small GPU or a patient CPU."""

from typing import Annotated, Any

from pydantic import Field

from stages.caption import chat, transformer
from stages.caption.captioners import Captioner
from stages.caption.transformer import Loaded, Model
from stages.config import settings

KINDS = ("smolvlm", "idefics3")
PICTURE = "<image>"


@settings
class Config:
    """What is asked, and how closely the model looks."""

    model: Model
    prompt: Annotated[str, Field(min_length=1)]
    max_new_tokens: Annotated[int, Field(gt=0)]
    beams: Annotated[int, Field(gt=0)]  # 1 is greedy
    split: bool  # look at tiles, too: finer words, several times slower


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    asked = chat.Config(
        model=config.model,
        prompt=config.prompt,
        max_new_tokens=config.max_new_tokens,
        beams=config.beams,
        max_pixels=0,
    )

    def load() -> transformer.Speaker:
        how = {"do_image_splitting": config.split, "return_row_col_info": True}
        return chat.speaker(asked, kinds=KINDS, placeholder=PICTURE, expand=_tiles, **how)

    return transformer.captioner(__name__, config, load)


def _tiles(loaded: Loaded, seen: Any, number: int) -> str:
    """Picture ``number`` as the model reads it: its tiles row by row, then the whole."""
    from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

    eye, words = loaded.model.config.vision_config, loaded.tokenizer
    length = (eye.image_size // eye.patch_size) ** 2 // loaded.model.config.scale_factor**2
    return str(
        get_image_prompt_string(
            seen["rows"][number][0],
            seen["cols"][number][0],
            length,
            fake_token_around_image=getattr(words, "fake_image_token", "<fake_token_around_image>"),
            image_token=PICTURE,
            global_image_token=getattr(words, "global_image_token", "<global-img>"),
        )
    )
