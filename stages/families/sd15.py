"""Stable Diffusion 1.5 and what has its shape: AutoencoderKL, CLIP text encoder, UNet with cross-attention."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import denoising, machine
from stages.config import settings
from stages.errors import ModelError
from stages.families import Tensor
from stages.tables import replace


@settings
class Config:
    """Where the pipeline lies."""

    folder: str  # a diffusers folder


def build(config: Config) -> "StableDiffusion":
    """The family over ``config.folder``; its parts are loaded when they are first used."""
    return StableDiffusion(Path(config.folder))


class StableDiffusion:
    """The ``Family`` of StableDiffusionPipeline. A part that nobody asks for is never loaded."""

    def __init__(self, folder: Path) -> None:
        quiet()
        self.folder = folder
        self.device = machine.device()

    @cached_property
    def denoiser(self) -> Any:
        """The UNet."""
        from diffusers import UNet2DConditionModel

        return self._part(UNet2DConditionModel, "unet")

    @cached_property
    def _autoencoder(self) -> Any:
        from diffusers import AutoencoderKL

        return self._part(AutoencoderKL, "vae")

    @cached_property
    def _text_encoder(self) -> Any:
        from transformers import CLIPTextModel

        return self._part(CLIPTextModel, "text_encoder")

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self._folder_of("tokenizer"), local_files_only=True)

    @cached_property
    def _scheduler(self) -> Any:
        from diffusers import DDIMScheduler

        return DDIMScheduler.from_pretrained(self._folder_of("scheduler"), local_files_only=True)

    def _part(self, model: Any, name: str) -> Any:
        import torch

        part = model.from_pretrained(self._folder_of(name), torch_dtype=torch.float32, local_files_only=True)
        return part.requires_grad_(False).eval().to(self.device)

    def _folder_of(self, name: str) -> Path:
        if not (self.folder / name).is_dir():
            raise ModelError(f"{self.folder}: has no folder {name!r}; give a diffusers folder of this family")
        return self.folder / name

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``: (mode - shift) * scale of the autoencoder's posterior."""
        import torch

        config = self._autoencoder.config
        pictures = torch.tensor(pixels_BHWC, device=self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            mode = self._autoencoder.encode(pictures).latent_dist.mode()
        return mode * config.scaling_factor

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        import torch

        with torch.no_grad():
            pictures = self._autoencoder.decode(latents_BCHW / self._autoencoder.config.scaling_factor).sample
        return to_uint8(((pictures + 1) / 2).permute(0, 2, 3, 1).cpu().numpy())

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """See ``Family``."""
        import torch

        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            return self._text_encoder(tokens.input_ids.to(self.device))[0]

    def corrupt(self, latents_BCHW: Tensor, noise_BCHW: Tensor, timesteps_B: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Family``: the target is the noise or, for v-prediction, the velocity."""
        abar = self._abar(timesteps_B)
        noisy = denoising.add_noise(latents_BCHW, noise_BCHW, abar)
        if self._scheduler.config.prediction_type == "v_prediction":
            return noisy, denoising.velocity(latents_BCHW, noise_BCHW, abar)
        return noisy, noise_BCHW

    def predict(self, noisy_BCHW: Tensor, timesteps_B: Tensor, prompts_BLD: Tensor) -> Tensor:
        """See ``Family``."""
        return self.denoiser(noisy_BCHW, timesteps_B, encoder_hidden_states=prompts_BLD).sample

    def weight(self, timesteps_B: Tensor, *, gamma: float) -> Tensor:
        """See ``Family``: min-SNR-gamma."""
        prediction = self._scheduler.config.prediction_type
        return denoising.min_snr_weight(denoising.snr(self._abar(timesteps_B)), gamma=gamma, prediction=prediction)

    def _abar(self, timesteps_B: Tensor) -> Tensor:
        return self._scheduler.alphas_cumprod.to(timesteps_B.device)[timesteps_B]

    def add_adapter(self, *, rank: int, alpha: float, targets: Sequence[str], dropout: float) -> None:
        """See ``Family``."""
        from peft import LoraConfig

        self.denoiser.add_adapter(
            LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), lora_dropout=dropout)
        )

    def save_adapter(self, file: Path) -> None:
        """See ``Family``: diffusers' keys, and its metadata, without which the strength (alpha / rank) is lost."""
        import torch
        from diffusers.training_utils import _collate_lora_metadata
        from peft.utils import get_peft_model_state_dict
        from safetensors.torch import save

        state = get_peft_model_state_dict(self.denoiser)
        tensors = {
            f"unet.{name}": value.detach().to("cpu", torch.float32).contiguous() for name, value in state.items()
        }
        settings_of = _collate_lora_metadata({"unet": self.denoiser})["unet_lora_adapter_metadata"]
        plain = {f"unet.{key}": _plain(value) for key, value in settings_of.items()}
        metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(plain, sort_keys=True)}
        replace(file, sorted_header(save(dict(sorted(tensors.items())), metadata=metadata)))

    def load_adapter(self, file: Path) -> None:
        """See ``Family``."""
        if not file.is_file():
            raise ModelError(f"{file}: there is no adapter; `dvc repro train` makes it")
        self._pipeline("StableDiffusionPipeline").load_lora_weights(str(file.parent), weight_name=file.name)

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``: DDIM with classifier-free guidance."""
        pictures = self._pipeline("StableDiffusionPipeline")(
            prompt=list(prompts),
            generator=self._generators(seeds),
            num_inference_steps=steps,
            guidance_scale=guidance,
            width=size[0],
            height=size[1],
            output_type="np",
        ).images
        return to_uint8(pictures)

    def reconstruct(
        self,
        pixels_BHWC: NDArray[np.uint8],
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        strength: float,
        steps: int,
    ) -> NDArray[np.uint8]:
        """See ``Family``: without classifier-free guidance."""
        pictures = self._pipeline("StableDiffusionImg2ImgPipeline")(
            prompt=list(prompts),
            image=pixels_BHWC.astype(np.float32) / 255,
            generator=self._generators(seeds),
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=1.0,
            output_type="np",
        ).images
        return to_uint8(pictures)

    def _generators(self, seeds: Sequence[int]) -> list[Any]:
        import torch

        return [torch.Generator().manual_seed(seed) for seed in seeds]

    def _pipeline(self, name: str) -> Any:
        import diffusers

        pipeline = getattr(diffusers, name)(
            vae=self._autoencoder,
            text_encoder=self._text_encoder,
            tokenizer=self._tokenizer,
            unet=self.denoiser,
            scheduler=self._scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def quiet() -> None:
    """Silence what the libraries say at every start: no torchvision (we want none), no text-encoder keys in a LoRA."""
    import diffusers
    import transformers

    for library in (transformers, diffusers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def to_uint8(pictures: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Pictures of floats in [0, 1] as uint8 of 0 to 255, rounded and not cut: truncation alone costs 51 dB."""
    return np.asarray(np.rint(np.clip(pictures, 0, 1) * 255), dtype=np.uint8)


def sorted_header(safetensors: bytes) -> bytes:
    """The same safetensors file with sorted metadata: the library writes its keys in an order that changes by run."""
    length = int.from_bytes(safetensors[:8], "little")
    header = json.loads(safetensors[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors to start at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + safetensors[8 + length :]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else value
