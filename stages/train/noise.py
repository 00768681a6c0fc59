"""Which noise a training step meets: how much of it, of what kind, and how its error counts.

Shapes: B batch, C channels, H and W of latents.
"""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from stages import denoising
from stages.train.loading import Batch
from stages.train.settings import Levels, Noise


class Draw(NamedTuple):
    """What chance gives the pictures of a batch, or of a part of it."""

    eps_BCHW: Tensor  # what the denoiser is asked for
    seen_BCHW: Tensor  # what it sees: the same, unless ``Noise.perturbation`` is set
    parts_B: Tensor  # float64: how far on the way from picture to noise
    chances_B: Tensor  # float, uniform: a caption is left out where it is below the share of those


def drawn(batch: Batch, noise: Noise, *, seed: int) -> Draw:
    """What chance gives ``batch``: each picture's share hangs on seed, step and its place in the whole batch alone.

    So it is the same in whatever portions and by however many processes the batch is worked, and on every device:
    numbers are drawn on the CPU.
    """
    pictures = [_picture(batch.latents_BCHW[0], noise, seed_of(seed, batch.step, place)) for place in batch.places]
    device = batch.latents_BCHW.device
    chances_B, eps_BCHW, seen_BCHW = (torch.stack(each).to(device) for each in zip(*pictures, strict=True))
    parts_B = parts(batch.size, noise.levels, torch.Generator().manual_seed(seed_of(seed, batch.step)))
    return Draw(eps_BCHW, seen_BCHW, parts_B[batch.places], chances_B)


def parts(count: int, levels: Levels, generator: torch.Generator) -> Tensor:
    """``count`` parts of the way from picture to noise, float[B], one of each of ``count`` equal shares, shuffled.

    Shuffled because a batch is subject first and prior last, and the subject would never meet the noisiest levels.
    """
    parts_B = denoising.stratified(count, generator)
    parts_B = parts_B[torch.randperm(count, generator=generator)]
    if levels.kind == "logit_normal":
        return denoising.logit_normal(parts_B, mean=levels.mean, std=levels.std)
    if levels.kind == "mode":
        return denoising.heavy_tails(parts_B, scale=levels.scale)
    return parts_B


def seed_of(*numbers: int) -> int:
    """A seed for a run's seed, a step and a place in its batch that has nothing to do with those of the neighbours."""
    return int.from_bytes(hashlib.sha256(" ".join(map(str, numbers)).encode()).digest()[:8], "big") >> 1


def _picture(latents_CHW: Tensor, noise: Noise, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The chance, the noise and the seen noise of one picture; what a setting adds is drawn after the rest."""
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand((), generator=generator)
    eps_CHW = torch.randn(latents_CHW.shape, generator=generator)
    if noise.offset:
        shift_C = torch.randn(latents_CHW.shape[0], generator=generator)
        eps_CHW = denoising.offset_noise(eps_CHW[None], shift_C[None], strength=noise.offset)[0]
    if not noise.perturbation:
        return chance, eps_CHW, eps_CHW
    more_CHW = torch.randn(latents_CHW.shape, generator=generator)
    return chance, eps_CHW, denoising.perturbed(eps_CHW, more_CHW, strength=noise.perturbation)
