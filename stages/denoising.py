"""Noise, targets and weights of denoising diffusion: pure functions of the schedule.

``abar`` is the product of the alphas up to a timestep, in (0, 1]; x0 the clean latents, eps the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stages import tensors

if TYPE_CHECKING:
    from torch import Tensor

    from stages.families import Family

FIXED_TIMESTEPS = tuple(range(50, 1000, 100))  # of 1000: the middle of ten equal parts, for a loss without luck


def snr(abar_B: Tensor) -> Tensor:
    """Signal-to-noise ratio abar / (1 - abar), float[B]. Hang et al., arXiv 2303.09556, section 3.4."""
    return abar_B / (1 - abar_B)


def min_snr_weight(snr_B: Tensor, *, gamma: float, prediction: str) -> Tensor:
    """Min-SNR-gamma weight, float[B]: min(snr, gamma) / snr for ``epsilon``, / (snr + 1) for ``v_prediction``.

    Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", arXiv 2303.09556, section 3.4. A
    ``gamma`` of 0 weighs every timestep the same.
    """
    if not gamma:
        return snr_B.new_ones(snr_B.shape)
    return snr_B.clamp(max=gamma) / (snr_B + 1 if prediction == "v_prediction" else snr_B)


def velocity(x0_BCHW: Tensor, eps_BCHW: Tensor, abar_B: Tensor) -> Tensor:
    """V = sqrt(abar) eps - sqrt(1 - abar) x0. Salimans and Ho, arXiv 2202.00512, appendix D."""
    abar = abar_B.reshape(-1, 1, 1, 1)
    return abar.sqrt() * eps_BCHW - (1 - abar).sqrt() * x0_BCHW


def add_noise(x0_BCHW: Tensor, eps_BCHW: Tensor, abar_B: Tensor) -> Tensor:
    """sqrt(abar) x0 + sqrt(1 - abar) eps. Ho et al., arXiv 2006.11239, equation 4."""
    abar = abar_B.reshape(-1, 1, 1, 1)
    return abar.sqrt() * x0_BCHW + (1 - abar).sqrt() * eps_BCHW


def stratified_timesteps(count: int, total: int) -> Tensor:
    """``count`` timesteps of [0, total), one from each of ``count`` equal parts and in their order: uniform, with less variance."""
    import torch

    parts = (torch.arange(count) + torch.rand(count)) / count
    return (parts * total).long().clamp(max=total - 1)


def squared_error(
    family: Family, latents_BCHW: Tensor, prompts_BLD: Tensor, noise_BCHW: Tensor, timesteps_B: Tensor
) -> Tensor:
    """Mean squared error of the denoiser for each picture, float[B], not weighted."""
    noisy, target = family.corrupt(latents_BCHW, noise_BCHW, timesteps_B)
    answer = family.predict(noisy, timesteps_B, prompts_BLD)
    error_B: Tensor = (answer.float() - target.float()).square().flatten(1).mean(1)
    return error_B


def fixed_loss(family: Family, latents_CHW: Tensor, prompt_LD: Tensor, *, seed: int) -> Tensor:
    """The loss of one picture at each of ``FIXED_TIMESTEPS`` and with noise of ``seed`` alone, float[10].

    It compares models: the same picture meets the same timesteps and the same noise each time.
    """
    import torch

    timesteps = torch.tensor(FIXED_TIMESTEPS)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(timesteps), *latents_CHW.shape, generator=generator)
    device = latents_CHW.device
    latents_BCHW = latents_CHW.expand(len(timesteps), -1, -1, -1)
    prompts_BLD = prompt_LD.expand(len(timesteps), -1, -1)
    with torch.no_grad():
        return squared_error(family, latents_BCHW, prompts_BLD, noise.to(device), timesteps.to(device))


def heldout_loss(family: Family, embeddings: Mapping[str, Tensor], id: str, text: str, *, seed: int) -> float:
    """The mean of ``fixed_loss`` for the picture ``id`` with its ``text``; ``embeddings`` holds both, as encode left them."""
    device = family.denoiser.device
    latents, prompt = embeddings[id].to(device), embeddings[tensors.key(text)].to(device)
    return fixed_loss(family, latents, prompt, seed=picture_seed(seed, id)).mean().item()


def picture_seed(seed: int, id: str) -> int:
    """The seed of one picture's fixed noise: adding a picture changes no other's."""
    return int.from_bytes(hashlib.sha256(f"{seed} {id}".encode()).digest()[:8], "big") >> 1
