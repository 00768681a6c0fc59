"""What ``encode`` leaves for training and evaluation: the latents of samples and the conditions of texts.

Shapes: C channels, H and W of latents; a condition has the shape that its family gives it, without the batch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages import denoising, families, tensors
from stages.families import Family
from stages.records import Sample

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Latents by sample id, conditions by the key of their text or by sample id."""

    latents: "Mapping[str, Tensor]"  # float32[C, H, W]
    prompts: "Mapping[str, Mapping[str, Tensor]]"
    pictures: "Mapping[str, Mapping[str, Tensor]]"  # what a picture's words do not give, by sample id
    masks: "Mapping[str, Tensor]"  # float32[H, W] of 0 to 1, by id of those samples that have one

    def of(self, sample: Sample) -> "tuple[Tensor, Mapping[str, Tensor]]":
        """Latents and conditions of ``sample``."""
        return self.latents[sample.id], {**self.prompts[key(sample.text)], **self.pictures.get(sample.id, {})}

    @property
    def empty(self) -> "Mapping[str, Tensor]":
        """The conditions of no words at all."""
        return self.prompts[key("")]


def key(text: str) -> str:
    """The name under which the conditions of ``text`` are kept: its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


def named(of: str, conditions: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """``conditions`` under the names that they have on disk: ``of``, a text's key or a sample's id, and their own."""
    return {f"{of}.{name}": value for name, value in conditions.items()}


def read(folder: Path) -> Embeddings:
    """What ``encode`` put into ``folder``.

    Raises:
        TableError: when there is nothing.
    """
    pictures = _conditions(folder, "pictures") if any(folder.glob("pictures-*")) else {}
    return Embeddings(
        latents=tensors.read(folder, "latents"),
        prompts=_conditions(folder, "prompts"),
        pictures=pictures,
        masks=tensors.read(folder, "masks") if any(folder.glob("masks-*")) else {},
    )


def heldout_losses(family: Family, embeddings: Embeddings, sample: Sample, *, seed: int) -> list[float]:
    """``denoising.fixed_loss`` for ``sample`` with its own words: a number for each of ``denoising.FIXED_PARTS``.

    The words are encoded anew where an adapter is on their encoders.
    """
    latents, conditions = embeddings.of(sample)
    if families.trains_words(family):
        import torch

        with torch.no_grad():
            words = family.encode_prompts([sample.text])
        conditions = {**conditions, **{name: value[0] for name, value in words.items()}}
    device = next(family.denoiser.parameters()).device  # diffusers' own walks through all modules for it
    there = {name: value.to(device) for name, value in conditions.items()}
    seed = denoising.picture_seed(seed, sample.id)
    losses: list[float] = denoising.fixed_loss(family, latents.to(device), there, seed=seed).tolist()
    return losses


def heldout_loss(family: Family, embeddings: Embeddings, sample: Sample, *, seed: int) -> float:
    """The mean of ``heldout_losses``."""
    losses = heldout_losses(family, embeddings, sample, seed=seed)
    return sum(losses) / len(losses)


def _conditions(folder: Path, kind: str) -> "dict[str, dict[str, Tensor]]":
    conditions: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.read(folder, kind).items():
        of, _, condition = name.partition(".")
        conditions.setdefault(of, {})[condition] = value
    return conditions
