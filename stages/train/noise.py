"""Which noise a training step meets: how much of it, of what kind, and how its error counts.

Shapes: B batch, C channels, H and W of latents.
"""

import torch
from torch import Tensor

from stages import denoising
from stages.train.settings import Levels, Noise


def parts(count: int, levels: Levels) -> Tensor:
    """``count`` parts of the way from picture to noise, float[B], one of each of ``count`` equal shares, shuffled.

    Shuffled because a batch is subject first and prior last, and the subject would never meet the noisiest levels.
    """
    parts_B = denoising.stratified(count)
    parts_B = parts_B[torch.randperm(count)]
    if levels.kind == "logit_normal":
        return denoising.logit_normal(parts_B, mean=levels.mean, std=levels.std)
    if levels.kind == "mode":
        return denoising.heavy_tails(parts_B, scale=levels.scale)
    return parts_B


def drawn(latents_BCHW: Tensor, noise: Noise) -> Tensor:
    """Noise in the shape of ``latents_BCHW``, from torch's global generator."""
    eps_BCHW = torch.randn_like(latents_BCHW)
    if not noise.offset:
        return eps_BCHW
    shift_BC = torch.randn(latents_BCHW.shape[:2], device=latents_BCHW.device)
    return denoising.offset_noise(eps_BCHW, shift_BC, strength=noise.offset)
