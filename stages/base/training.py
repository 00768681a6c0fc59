"""Train a tiny Stable Diffusion from nothing: first the autoencoder, then the denoiser with its text encoder.

Shapes: B batch, C channels, H and W of pixels or latents, L tokens, D width of a token.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from stages import denoising, machine
from stages.base.pictures import Labelled
from stages.base.settings import Training


def seed_everything(config: Training) -> None:
    """Make what follows on this machine and with these threads the same to the bit."""
    machine.use_threads(config.threads)
    torch.manual_seed(config.seed)


def fit(pipeline: Any, labelled: Labelled, config: Training) -> dict[str, float]:
    """Train the parts of ``pipeline`` on ``labelled`` and report the last mean loss of each."""
    pixels_BHWC = torch.from_numpy(np.stack([picture for picture, _ in labelled]))
    rng = np.random.default_rng(config.seed)
    reconstruction = _fit_autoencoder(pipeline.vae, pixels_BHWC, config, rng)
    latents_BCHW = _latents(pipeline.vae, pixels_BHWC)
    tokens_BL = _tokens(pipeline.tokenizer, [caption for _, caption in labelled])
    loss = _fit_denoiser(pipeline, latents_BCHW, tokens_BL, config, rng)
    return {"autoencoder_loss": reconstruction, "denoiser_loss": loss}


def save_half(pipeline: Any, folder: Path) -> None:
    """Save ``pipeline`` in half precision: half the bytes, and at this size no visible difference."""
    pipeline.to(torch.float16).save_pretrained(folder)


def _fit_autoencoder(vae: Any, pixels_BHWC: Tensor, config: Training, rng: np.random.Generator) -> float:
    optimizer = torch.optim.AdamW(vae.parameters(), config.autoencoder_lr, betas=(0.9, 0.99), weight_decay=0)
    losses = []
    for step in _steps(config.autoencoder_steps, "autoencoder"):
        _set_rate(optimizer, config.autoencoder_lr, step / config.autoencoder_steps, warm=(step + 1) / 20)
        picked = rng.integers(0, len(pixels_BHWC), config.autoencoder_batch)
        pictures_BCHW = _signed(pixels_BHWC[torch.from_numpy(picked)])
        loss = _reconstruction_loss(vae, _recoloured(pictures_BCHW) if config.recolour else pictures_BCHW)
        losses.append(_descend(loss, optimizer))
    vae.eval().requires_grad_(False)
    with torch.no_grad():
        modes = torch.cat([vae.encode(_signed(part)).latent_dist.mode() for part in torch.split(pixels_BHWC[::4], 64)])
    vae.register_to_config(scaling_factor=1 / modes.std().item())
    return float(np.mean(losses[-100:]))


def _recoloured(pictures_BCHW: Tensor) -> Tensor:
    """Half of the batches with channels in another order; half of the pictures greyed by a random share; more contrast or less.

    An autoencoder that has seen the colours of nine photographs alone paints whatever it does not know in them.
    """
    several = (len(pictures_BCHW), 1, 1, 1)
    if torch.rand(()) < 0.5:
        pictures_BCHW = pictures_BCHW[:, torch.randperm(3)]
    grey = pictures_BCHW.mean(1, keepdim=True)
    share = (2.2 * torch.rand(several) - 1.1).clamp(0, 1)
    return (torch.lerp(pictures_BCHW, grey, share) * (0.6 + 0.8 * torch.rand(several))).clamp(-1, 1)


def _reconstruction_loss(vae: Any, pictures_BCHW: Tensor) -> Tensor:
    """Squared and absolute error, the error of the gradients (it keeps edges), and a faint pull to N(0, 1)."""
    posterior = vae.encode(pictures_BCHW).latent_dist
    answer = vae.decode(posterior.sample()).sample
    edges = sum(functional.l1_loss(answer.diff(dim=axis), pictures_BCHW.diff(dim=axis)) for axis in (2, 3))
    pull = 1e-5 * posterior.kl().mean() / 16
    squared, absolute = functional.mse_loss(answer, pictures_BCHW), functional.l1_loss(answer, pictures_BCHW)
    loss: Tensor = squared + 0.2 * absolute + 0.2 * edges + pull
    return loss


def _fit_denoiser(
    pipeline: Any, latents_BCHW: Tensor, tokens_BL: Tensor, config: Training, rng: np.random.Generator
) -> float:
    weights = [*pipeline.unet.parameters(), *pipeline.text_encoder.parameters()]
    optimizer = torch.optim.AdamW(weights, config.denoiser_lr, betas=(0.9, 0.99), weight_decay=1e-2)
    average = [weight.detach().clone() for weight in weights]
    empty_L = _tokens(pipeline.tokenizer, [""])[0]
    losses = []
    for step in _steps(config.denoiser_steps, "denoiser"):
        _set_rate(optimizer, config.denoiser_lr, step / config.denoiser_steps, warm=(step + 1) / 50)
        picked = torch.from_numpy(rng.integers(0, len(latents_BCHW), config.denoiser_batch))
        tokens = tokens_BL[picked].clone()
        tokens[torch.rand(len(tokens)) < config.caption_dropout] = empty_L
        losses.append(_descend(_denoising_loss(pipeline, latents_BCHW[picked], tokens, config.gamma), optimizer))
        _average(average, weights, min(config.ema_decay, (step + 1) / (step + 10)))
    for weight, mean in zip(weights, average, strict=True):
        weight.data.copy_(mean)
    return float(np.mean(losses[-100:]))


def _denoising_loss(pipeline: Any, latents_BCHW: Tensor, tokens_BL: Tensor, gamma: float) -> Tensor:
    """The min-SNR weighted error of the velocity at stratified timesteps."""
    scheduler = pipeline.scheduler
    total = scheduler.config.num_train_timesteps
    timesteps = (denoising.stratified(len(latents_BCHW)) * total).long().clamp(max=total - 1)
    abar = scheduler.alphas_cumprod[timesteps]
    noise = torch.randn_like(latents_BCHW)
    noisy = denoising.add_noise(latents_BCHW, noise, abar)
    prompts_BLD = pipeline.text_encoder(tokens_BL)[0]
    answer = pipeline.unet(noisy, timesteps, encoder_hidden_states=prompts_BLD).sample
    error_B = (answer - denoising.velocity(latents_BCHW, noise, abar)).square().flatten(1).mean(1)
    weight_B = denoising.min_snr_weight(denoising.snr(abar), gamma=gamma, prediction="v_prediction")
    loss: Tensor = (error_B * weight_B).mean()
    return loss


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    return loss.item()


def _set_rate(optimizer: torch.optim.Optimizer, peak: float, done: float, *, warm: float) -> None:
    """Linear warm-up, then half a cosine down to a fiftieth of ``peak``."""
    optimizer.param_groups[0]["lr"] = peak * min(1.0, warm) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))


def _average(average: Sequence[Tensor], weights: Sequence[Tensor], decay: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(average), list(weights), 1 - decay)


def _latents(vae: Any, pixels_BHWC: Tensor) -> Tensor:
    with torch.no_grad():
        parts = [vae.encode(_signed(part)).latent_dist.mode() for part in torch.split(pixels_BHWC, 64)]
    latents_BCHW: Tensor = torch.cat(parts) * vae.config.scaling_factor
    return latents_BCHW


def _signed(pixels_BHWC: Tensor) -> Tensor:
    """uint8[B, H, W, C] of 0 to 255 as float32[B, C, H, W] of -1 to 1."""
    return pixels_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1


def _tokens(tokenizer: Any, captions: Sequence[str]) -> Tensor:
    tokens: Tensor = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return tokens


def _steps(count: int, label: str) -> Any:
    return tqdm(range(count), desc=label, disable=not sys.stderr.isatty(), leave=False)
