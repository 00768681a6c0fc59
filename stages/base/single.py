"""A single safetensors file of a whole model, or of its denoiser alone, as ComfyUI and A1111 have them.

The file holds weights and no configuration; that, and the parts that it lacks, come from a diffusers folder.
"""

from collections import Counter
from collections.abc import Collection
from inspect import signature
from pathlib import Path
from typing import Any

from stages.base.folders import FAMILIES
from stages.base.weights import Header
from stages.errors import ModelError
from stages.pipelines import quiet

DENOISER = "model.diffusion_model."
# How the names of a part's tensors begin, as Stability's, Black Forest Labs' and ComfyUI's files have them.
HELD: dict[str, dict[str, tuple[str, ...]]] = {
    "sd15": {
        "unet": (DENOISER,),
        "vae": ("first_stage_model.",),
        "text_encoder": ("cond_stage_model.transformer.",),
    },
    "sdxl": {
        "unet": (DENOISER,),
        "vae": ("first_stage_model.",),
        "text_encoder": ("conditioner.embedders.0.",),
        "text_encoder_2": ("conditioner.embedders.1.",),
    },
    "sd35": {
        "transformer": (f"{DENOISER}joint_blocks.", "joint_blocks."),
        "vae": ("first_stage_model.",),
        "text_encoder": ("text_encoders.clip_l.",),
        "text_encoder_2": ("text_encoders.clip_g.",),
        "text_encoder_3": ("text_encoders.t5xxl.",),
    },
    "flux": {
        "transformer": (f"{DENOISER}double_blocks.", "double_blocks."),
        "vae": ("first_stage_model.", "vae."),
        "text_encoder": ("text_encoders.clip_l.",),
        "text_encoder_2": ("text_encoders.t5xxl.",),
    },
}
# What is in no other family's files; the first that is found counts.
MARKS = {
    "flux": "double_blocks.",
    "sd35": "joint_blocks.",
    "sdxl": "conditioner.embedders.1.",
    "sd15": "cond_stage_model.transformer.",
}
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def held(tensors: Header, family: str, *, where: str) -> frozenset[str]:
    """The parts whose weights are in a file of ``tensors``, by their names in the pipeline.

    Raises:
        ModelError: when it is a LoRA, of another family, or has no denoiser.
    """
    if any("lora_" in name or ".lora" in name for name in tensors):
        raise ModelError(f"{where}: is a LoRA, not a base model")
    looks = next((each for each, mark in MARKS.items() if any(mark in name for name in tensors)), family)
    if looks != family:
        raise ModelError(f"{where}: is no base of {family}; it looks like family={looks}")
    found = frozenset(part for part, heads in HELD[family].items() if any(name.startswith(heads) for name in tensors))
    if not found & {"unet", "transformer"}:
        raise ModelError(f"{where}: holds no denoiser of {family} (names that begin with {DENOISER})")
    return found


def convert(file: Path, tensors: Header, family: str, parts: Collection[str], out: Path) -> None:
    """Write ``parts`` of ``file``, those that it holds, into the diffusers folder ``out``, in the file's precision.

    ``out`` has the configuration of each part already.

    Raises:
        ModelError: when the weights do not fit that configuration, or are of a precision that is no base's.
    """
    import diffusers

    quiet()
    name = next(name for name, each in FAMILIES.items() if each == family)
    pipeline = getattr(diffusers, name)
    others = dict.fromkeys(part for part in signature(pipeline).parameters if part not in parts)
    try:
        loaded = pipeline.from_single_file(
            str(file), config=str(out), local_files_only=True, dtype=_dtype(file, tensors), **others
        )
    except (KeyError, RuntimeError, ValueError) as error:  # all three are raised for tensors that do not fit
        raise ModelError(f"{file}: does not fit the configuration in family.origin: {str(error)[:200]}") from None
    for part in sorted(parts):
        network = getattr(loaded, part)
        if missing := [name for name, weight in network.named_parameters() if weight.is_meta]:
            raise ModelError(f"{file}: lacks {missing[0]} of {part!r}, which the configuration in family.origin has")
        network.save_pretrained(out / part, safe_serialization=True)


def _dtype(file: Path, tensors: Header) -> Any:
    """The precision that most of the tensors have."""
    import torch

    most = Counter(entry["dtype"] for entry in tensors.values()).most_common(1)[0][0]
    if most not in DTYPES:
        raise ModelError(f"{file}: holds weights as {most}; give the file in one of {', '.join(DTYPES)}")
    return getattr(torch, DTYPES[most])
