"""Noise, targets and weights of denoising: pure functions, and the two processes that are made of them.

``abar`` is the product of the alphas up to a timestep, in (0, 1]; x0 the clean latents, eps the noise, sigma the share
of noise in a rectified flow, in [0, 1]. Shapes: B batch, C channels, H and W of latents.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from stages.config import settings
from stages.errors import ConfigError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from stages.families import Family

# The middle of ten equal parts of the way from picture to noise, for a loss without luck.
FIXED_PARTS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)


Size = tuple[int, int]  # H and W of latents


@settings
class Weighting:
    """How much the error at each noise level counts."""

    kind: Literal["uniform", "min_snr", "debiased", "sigma_sqrt", "cosmap"]
    gamma: Annotated[float, Field(gt=0)]  # of min_snr


class Process(Protocol):
    """How noise is added to latents, and what a denoiser is asked for."""

    def levels(self, parts_B: Tensor, size: Size) -> Tensor:
        """Noise levels in the denoiser's unit, ``parts_B`` float[B] in [0, 1) of the way from picture to noise.

        ``size`` is that of the latents: where there are more of them, the same noise hides less.
        """
        ...

    def corrupt(self, x0_BCHW: Tensor, eps_BCHW: Tensor, levels_B: Tensor) -> tuple[Tensor, Tensor]:
        """The noisy latents at ``levels_B`` and what the denoiser should answer to them."""
        ...

    def weight(self, levels_B: Tensor, weighting: Weighting) -> Tensor:
        """The weight of each level's squared error, float[B].

        Raises:
            ConfigError: when this process has no such weighting.
        """
        ...


class Diffusion:
    """The ``Process`` of DDPM: levels are timesteps, int64[B]; the target is the noise or the velocity."""

    def __init__(self, abar_T: Tensor, *, prediction: str) -> None:
        self._abar_T = abar_T
        self._prediction = prediction

    def levels(self, parts_B: Tensor, size: Size) -> Tensor:
        """See ``Process``; a diffusion's do not depend on the size."""
        total = len(self._abar_T)
        return (parts_B * total).long().clamp(max=total - 1)

    def corrupt(self, x0_BCHW: Tensor, eps_BCHW: Tensor, levels_B: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Process``."""
        abar_B = self._abar(levels_B)
        noisy_BCHW = add_noise(x0_BCHW, eps_BCHW, abar_B)
        if self._prediction == "v_prediction":
            return noisy_BCHW, velocity(x0_BCHW, eps_BCHW, abar_B)
        return noisy_BCHW, eps_BCHW

    def weight(self, levels_B: Tensor, weighting: Weighting) -> Tensor:
        """See ``Process``: uniform, min_snr or debiased."""
        snr_B = snr(self._abar(levels_B))
        if weighting.kind == "uniform":
            return snr_B.new_ones(snr_B.shape)
        if weighting.kind == "min_snr":
            return min_snr_weight(snr_B, gamma=weighting.gamma, prediction=self._prediction)
        if weighting.kind == "debiased":
            return debiased_weight(snr_B, prediction=self._prediction)
        raise ConfigError(f"weighting {weighting.kind!r} is of flows; a diffusion has uniform, min_snr and debiased")

    def _abar(self, levels_B: Tensor) -> Tensor:
        return self._abar_T.to(levels_B.device)[levels_B]


class Flow:
    """The ``Process`` of a rectified flow: levels are sigmas, float32[B]; the target is noise minus picture.

    Liu et al., arXiv 2209.03003; as in Stable Diffusion 3, Esser et al., arXiv 2403.03206. ``shift`` gives the shift of
    the levels for a size.
    """

    def __init__(self, shift: Callable[[Size], float]) -> None:
        self._shift = shift

    def levels(self, parts_B: Tensor, size: Size) -> Tensor:
        """See ``Process``."""
        return shifted(parts_B, self._shift(size)).float()

    def corrupt(self, x0_BCHW: Tensor, eps_BCHW: Tensor, levels_B: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Process``: (1 - sigma) x0 + sigma eps, and eps - x0."""
        sigma = levels_B.reshape(-1, 1, 1, 1)
        return (1 - sigma) * x0_BCHW + sigma * eps_BCHW, eps_BCHW - x0_BCHW

    def weight(self, levels_B: Tensor, weighting: Weighting) -> Tensor:
        """See ``Process``: uniform, min_snr, sigma_sqrt or cosmap, the last two of Esser et al., section 3.1.

        An error of the target is an error of sigma times as much of the picture, for which min-SNR's weight is
        min(snr, gamma): the derivation of Hang et al., arXiv 2303.09556, section 3.4, for another target.
        """
        if weighting.kind == "uniform":
            return levels_B.new_ones(levels_B.shape)
        if weighting.kind == "min_snr":
            return ((1 - levels_B) / levels_B).square().clamp(max=weighting.gamma) * levels_B.square()
        if weighting.kind == "sigma_sqrt":
            return levels_B.pow(-2)
        if weighting.kind == "cosmap":
            return 2 / (math.pi * (1 - 2 * levels_B + 2 * levels_B.square()))
        raise ConfigError(
            f"weighting {weighting.kind!r} is of diffusions; a flow has uniform, min_snr, sigma_sqrt, cosmap"
        )


def shifted(sigma_B: Tensor, shift: float) -> Tensor:
    """K sigma / (1 + (k - 1) sigma), for k = ``shift``: Esser et al., arXiv 2403.03206, equation 23."""
    return shift * sigma_B / (1 + (shift - 1) * sigma_B)


def token_shift(tokens: int, *, least: tuple[int, float], most: tuple[int, float]) -> float:
    """The shift for so many latent tokens: the exponential of a line through two (tokens, mu), as Flux has it.

    Black Forest Labs, flux/sampling.py, ``get_schedule``: e^mu / (e^mu + 1 / sigma - 1) is ``shifted`` by e^mu.
    """
    slope = (most[1] - least[1]) / (most[0] - least[0])
    return math.exp(least[1] + slope * (tokens - least[0]))


def snr(abar_B: Tensor) -> Tensor:
    """Signal-to-noise ratio abar / (1 - abar), float[B]. Hang et al., arXiv 2303.09556, section 3.4."""
    return abar_B / (1 - abar_B)


def min_snr_weight(snr_B: Tensor, *, gamma: float, prediction: str) -> Tensor:
    """Min-SNR-gamma weight, float[B]: min(snr, gamma) / snr for ``epsilon``, / (snr + 1) for ``v_prediction``.

    Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", arXiv 2303.09556, section 3.4.
    """
    return snr_B.clamp(max=gamma) / (snr_B + 1 if prediction == "v_prediction" else snr_B)


def debiased_weight(snr_B: Tensor, *, prediction: str) -> Tensor:
    """Debiased weight, float[B]: 1 / sqrt(min(snr, 1000)) for ``epsilon``, 1 / (snr + 1) for ``v_prediction``.

    Yu et al., "Debias the Training of Diffusion Models", arXiv 2310.08442; the second, which the paper does not give,
    as kohya's sd-scripts have it.
    """
    return 1 / (snr_B + 1) if prediction == "v_prediction" else snr_B.clamp(max=1000).rsqrt()


def velocity(x0_BCHW: Tensor, eps_BCHW: Tensor, abar_B: Tensor) -> Tensor:
    """V = sqrt(abar) eps - sqrt(1 - abar) x0. Salimans and Ho, arXiv 2202.00512, appendix D."""
    abar = abar_B.reshape(-1, 1, 1, 1)
    return abar.sqrt() * eps_BCHW - (1 - abar).sqrt() * x0_BCHW


def add_noise(x0_BCHW: Tensor, eps_BCHW: Tensor, abar_B: Tensor) -> Tensor:
    """sqrt(abar) x0 + sqrt(1 - abar) eps. Ho et al., arXiv 2006.11239, equation 4."""
    abar = abar_B.reshape(-1, 1, 1, 1)
    return abar.sqrt() * x0_BCHW + (1 - abar).sqrt() * eps_BCHW


def stratified(count: int, generator: Generator | None = None) -> Tensor:
    """``count`` numbers of [0, 1), one from each of ``count`` equal parts and in their order: uniform, with less variance.

    From ``generator``, or torch's global one.
    """
    import torch

    return (torch.arange(count) + torch.rand(count, generator=generator)) / count


def logit_normal(parts_B: Tensor, *, mean: float, std: float) -> Tensor:
    """Uniform ``parts_B`` of (0, 1) as sigmoid(N(mean, std)): a greater mean is more noise.

    Esser et al., arXiv 2403.03206, section 3.1, with the sign of the paper; diffusers' scripts index falling timesteps
    with it and so have the opposite.
    """
    import torch

    normal_B: Tensor = torch.special.ndtri(parts_B.clamp(1e-6, 1 - 1e-6))
    return (mean + std * normal_B).sigmoid()


def heavy_tails(parts_B: Tensor, *, scale: float) -> Tensor:
    """Uniform u of ``parts_B`` as 1 - u - scale (cos^2(pi u / 2) - 1 + u), "mode": Esser et al., section 3.1."""
    u = parts_B
    return 1 - u - scale * ((math.pi / 2 * u).cos().square() - 1 + u)


def offset_noise(eps_BCHW: Tensor, shift_BC: Tensor, *, strength: float) -> Tensor:
    """``eps`` with ``strength`` times a standard normal number for each channel of each picture, float[B, C].

    N. Guttenberg, "Diffusion with Offset Noise", 2023: without it, pictures keep a middle brightness.
    """
    return eps_BCHW + strength * shift_BC[:, :, None, None]


def perturbed(eps_BCHW: Tensor, more_BCHW: Tensor, *, strength: float) -> Tensor:
    """``eps`` with ``strength`` times more noise: the denoiser sees this and is asked for ``eps``, against exposure bias.

    Ning et al., "Input Perturbation Reduces Exposure Bias in Diffusion Models", arXiv 2301.11706, equation 8.
    """
    return eps_BCHW + strength * more_BCHW


def masked_error(answer_BCHW: Tensor, target_BCHW: Tensor, mask_BHW: Tensor, *, outside: float) -> Tensor:
    """Mean squared error for each picture, float[B], in which each place counts ``outside`` + (1 - ``outside``) mask.

    It is divided by the sum of these weights, so that a small subject counts as much as a large one; kohya's sd-scripts
    divide by all places, and OneTrainer by its choice. Where ``mask`` is 1 everywhere it is the plain mean; where all
    weights are 0, as when a crop holds nothing of the subject, the error is 0.
    """
    error_BHW = (answer_BCHW.float() - target_BCHW.float()).square().mean(1)
    weight_BHW = outside + (1 - outside) * mask_BHW
    return (error_BHW * weight_BHW).sum((1, 2)) / weight_BHW.sum((1, 2)).clamp(min=1e-6)


def squared_error(
    family: Family, latents_BCHW: Tensor, conditions: Mapping[str, Tensor], eps_BCHW: Tensor, levels_B: Tensor
) -> Tensor:
    """Mean squared error of the denoiser for each picture, float[B], not weighted."""
    noisy_BCHW, target_BCHW = family.process.corrupt(latents_BCHW, eps_BCHW, levels_B)
    answer_BCHW = family.predict(noisy_BCHW, levels_B, conditions)
    error_B: Tensor = (answer_BCHW.float() - target_BCHW.float()).square().flatten(1).mean(1)
    return error_B


def fixed_loss(family: Family, latents_CHW: Tensor, conditions: Mapping[str, Tensor], *, seed: int) -> Tensor:
    """The loss of one picture at each of ``FIXED_PARTS`` and with noise of ``seed`` alone, float[10].

    It compares models: the same picture meets the same noise levels and the same noise each time. ``conditions`` are
    those of this picture, without a batch.
    """
    import torch

    count, device = len(FIXED_PARTS), latents_CHW.device
    parts_B = torch.tensor(FIXED_PARTS, dtype=torch.float64)
    levels_B = family.process.levels(parts_B, _size(latents_CHW)).to(device)
    generator = torch.Generator().manual_seed(seed)
    eps_BCHW = torch.randn(count, *latents_CHW.shape, generator=generator).to(device)
    repeated = {name: value.expand(count, *value.shape) for name, value in conditions.items()}
    with torch.no_grad():
        return squared_error(family, latents_CHW.expand(count, -1, -1, -1), repeated, eps_BCHW, levels_B)


def _size(latents_CHW: Tensor) -> Size:
    return latents_CHW.shape[-2], latents_CHW.shape[-1]


def picture_seed(seed: int, id: str) -> int:
    """The seed of one picture's fixed noise: adding a picture changes no other's."""
    return int.from_bytes(hashlib.sha256(f"{seed} {id}".encode()).digest()[:8], "big") >> 1
