"""A diffusers folder as a family: its parts, each loaded when it is first asked for, and how pictures go in and come out.

What families have in common is here; what one of them has for itself is its ``Architecture``.
Shapes: B batch, C channels, H and W of pixels or latents.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages import adapters, machine
from stages.config import settings
from stages.denoising import Process
from stages.errors import ConfigError, ModelError
from stages.lora.files import save
from stages.records import Sample

Tensor = Any  # a torch.Tensor; torch is imported only where it works
# What steers a denoiser, by name: ``tokens`` float[B, L, D], ``pooled`` float[B, D] …
Conditions = Mapping[str, Tensor]
Precision = Literal["fp32", "bf16", "fp16", "nf4", "int8"]
QUANTISED = ("nf4", "int8")


@settings
class Config:
    """Where a pipeline lies, and how its frozen weights are kept."""

    folder: str  # a diffusers folder
    precision: Precision


def _nothing(_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a family has for itself. ``Pipeline`` says in which precision the functions compute."""

    name: str
    pipelines: tuple[str, str]  # diffusers' classes: from words, and from words and a picture
    parts: Mapping[str, str]  # package and class of each part, by its name in the folder
    process: Callable[[Any], Process]  # of the scheduler
    conditions: Callable[..., dict[str, Tensor]]  # of prompts, by ``Folder``; see ``_told``
    predict: Callable[[Any, Tensor, Tensor, Conditions], Tensor]  # see ``Family``; the first is the denoiser
    picture_conditions: Callable[[Sample], dict[str, Tensor]] = _nothing
    most_tokens: Mapping[str, int] = field(default_factory=dict)  # that T5 is given, by the name of its tokenizer
    sampler: Mapping[str, Any] = field(default_factory=dict)  # what of the scheduler is not as its folder has it
    others: Mapping[str, Any] = field(default_factory=dict)  # what a pipeline is made of beside its parts

    @property
    def denoiser(self) -> str:
        """The name of the network that answers to noisy latents."""
        return "unet" if "unet" in self.parts else "transformer"

    @property
    def adaptable(self) -> list[str]:
        """The networks that an adapter may change: the denoiser and the text encoders of CLIP; T5 stays as it is."""
        return [self.denoiser, *(name for name, kind in self.parts.items() if ".CLIPTextModel" in kind)]


class Folder:
    """The parts of a pipeline that lies in ``path``. A part that nobody asks for is never loaded."""

    def __init__(self, path: Path, architecture: Architecture, precision: Precision) -> None:
        self.device = machine.device()
        refuse_precision(precision, self.device)
        self.path = path
        self._architecture = architecture
        self._precision = precision
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The part ``name``; a network is frozen and on the device.

        Raises:
            ModelError: when the folder lacks parts, naming them all, or the part cannot be read.
        """
        if name not in self._loaded:
            quiet()
            self._refuse_missing(name)
            package, _, kind = self._architecture.parts[name].partition(".")
            self._loaded[name] = self._read(name, getattr(import_module(package), kind))
        return self._loaded[name]

    @property
    def dtype(self) -> Any:
        """What the frozen weights are computed with."""
        import torch

        return {"fp32": torch.float32, "fp16": torch.float16}.get(self._precision, torch.bfloat16)

    def _refuse_missing(self, wanted: str) -> None:
        if not (self.path / wanted).is_dir():
            missing = [repr(name) for name in self._architecture.parts if not (self.path / name).is_dir()]
            raise ModelError(
                f"{self.path}: has no folder {', '.join(missing)}; "
                f"give a diffusers folder of this family, {self._architecture.name}, with all of its parts"
            )

    def _read(self, name: str, kind: Any) -> Any:
        from safetensors import SafetensorError

        try:
            if name.startswith("tokenizer"):
                return kind.from_pretrained(self.path / name, local_files_only=True)
            if name == "scheduler":
                return kind.from_pretrained(self.path / name, local_files_only=True, **self._architecture.sampler)
            return self._network(name, kind)
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            why = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{self.path / name}: cannot be read as {kind.__name__} ({why}); fetch the base anew"
            ) from None

    def _network(self, name: str, kind: Any) -> Any:
        """Quantised are the denoiser and the text encoders: an autoencoder is small, and its errors are seen."""
        how: dict[str, Any] = {"torch_dtype": self.dtype, "local_files_only": True, "output_loading_info": True}
        quantised = self._precision in QUANTISED and name != "vae"
        if quantised:
            how["quantization_config"] = quantisation(kind, self._precision)
        network, report = kind.from_pretrained(self.path / name, **how)
        if missing := sorted(report["missing_keys"]):
            raise ValueError(f"no weights for {missing[0]}" + f" and {len(missing) - 1} more" * (len(missing) > 1))
        network = network.requires_grad_(False).eval()
        return network if quantised else network.to(self.device)


class Pipeline:
    """The ``Family`` of a diffusers folder. What it does by itself holds for every architecture."""

    def __init__(self, config: Config, architecture: Architecture) -> None:
        self._architecture = architecture
        self._parts = Folder(Path(config.folder), architecture, config.precision)
        self.networks: Mapping[str, Any] = {}

    @property
    def denoiser(self) -> Any:
        """See ``Family``."""
        return self._parts[self._architecture.denoiser]

    @cached_property
    def process(self) -> Process:
        """See ``Family``."""
        return self._architecture.process(self._parts["scheduler"])

    def encode_pictures(self, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
        """See ``Family``."""
        return encode(self._parts["vae"], pixels_BHWC)

    def decode_latents(self, latents_BCHW: Tensor) -> NDArray[np.uint8]:
        """See ``Family``."""
        return decode(self._parts["vae"], latents_BCHW)

    def encode_prompts(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """See ``Family``."""
        conditions = self._architecture.conditions(self._parts, prompts, **self._told)
        return {name: value.float() for name, value in conditions.items()}

    def tokens_lost(self, prompts: Sequence[str]) -> dict[str, list[int]]:
        """See ``Family``."""
        names = [name for name in self._architecture.parts if name.startswith("tokenizer")]
        return {name: tokens_lost(self._parts[name], prompts, most=self._most_tokens(name)) for name in names}

    def picture_conditions(self, sample: Sample) -> dict[str, Tensor]:
        """See ``Family``."""
        return self._architecture.picture_conditions(sample)

    def predict(self, noisy_BCHW: Tensor, levels_B: Tensor, conditions: Conditions) -> Tensor:
        """See ``Family``."""
        dtype = self._parts.dtype
        given = {name: value.to(dtype) for name, value in conditions.items()}
        return self._architecture.predict(self.denoiser, noisy_BCHW.to(dtype), levels_B, given).float()

    def add_adapter(self, adapter: adapters.Adapter) -> None:
        """See ``Family``."""
        denoiser, *encoders = self._architecture.adaptable
        targets = {denoiser: adapter.targets} | dict.fromkeys(
            encoders if adapter.text_targets else (), adapter.text_targets
        )
        self.networks = {name: self._parts[name] for name in targets}
        for name, network in self.networks.items():
            adapters.add(name, network, adapter, targets[name])

    def save_adapter(self, file: Path) -> None:
        """See ``Family``."""
        save(file, self.networks)

    def load_adapter(self, file: Path) -> None:
        """See ``Family``."""
        architecture = self._architecture
        content = adapters.read(file)
        adapters.remove(self.networks)
        if content.settings:
            self.networks = {name: self._parts[name] for name in architecture.adaptable if name in content.settings}
            adapters.put(content, self.networks, family=architecture.name)
        else:
            adapters.put_foreign(content, self._assembled(architecture.pipelines[0]), family=architecture.name)
            self.networks = {
                name: self._parts[name] for name in architecture.adaptable if adapters.on(self._parts[name])
            }

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """See ``Family``."""
        pipeline = self._assembled(self._architecture.pipelines[0])
        how = {"num_inference_steps": steps, "guidance_scale": guidance, "width": size[0], "height": size[1]}
        return drawn(pipeline, prompts, seeds, how | self._told)

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
        pipeline = self._assembled(self._architecture.pipelines[1])
        height, width = pixels_BHWC.shape[1:3]
        how: dict[str, Any] = {"image": pixels_BHWC.astype(np.float32) / 255, "strength": strength}
        how |= {"num_inference_steps": steps, "guidance_scale": 1.0}
        if "height" in inspect.signature(pipeline.__call__).parameters:  # some take the picture's, some another
            how |= {"height": height, "width": width}
        return drawn(pipeline, prompts, seeds, how | self._told)

    @property
    def _told(self) -> dict[str, int]:
        """How many tokens T5 is given, as the pipelines want to know it."""
        most = [self._most_tokens(name) for name in self._architecture.most_tokens]
        return {"max_sequence_length": most[0]} if most else {}

    def _most_tokens(self, name: str) -> int:
        longest = int(self._parts[name].model_max_length)
        return min(longest, self._architecture.most_tokens.get(name, longest))

    def _assembled(self, name: str) -> Any:
        """The diffusers pipeline ``name``, silent."""
        import diffusers

        architecture = self._architecture
        parts = {part: self._parts[part] for part in architecture.parts}
        pipeline = getattr(diffusers, name)(**parts, **architecture.others)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def refuse_precision(precision: Precision, device: str) -> None:
    """Say that ``precision`` cannot be had on ``device``, before anything is loaded.

    Raises:
        ConfigError: when weights of 4 or 8 bits are asked for and there is no GPU, or nothing that knows them.
    """
    if precision not in QUANTISED:
        return
    if device != "cuda":
        raise ConfigError(f"base_precision: {precision} needs a GPU and this is a {device}; take fp32 or bf16")
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"base_precision: {precision} needs bitsandbytes; `pip install darkroom[quantised]`, or take bf16"
        )


def quantisation(kind: Any, precision: Precision) -> Any:
    """How the library of the class ``kind`` reads weights as NF4 or as LLM.int8.

    Dettmers et al., arXiv 2305.14314 (QLoRA) and arXiv 2208.07339.
    """
    import torch

    library = import_module(kind.__module__.partition(".")[0])
    if precision == "int8":
        return library.BitsAndBytesConfig(load_in_8bit=True)
    return library.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


def drawn(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], how: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A picture by ``pipeline`` for each prompt and seed, uint8[B, H, W, 3]; ``how`` is as the pipeline names it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*upcast_vae", category=FutureWarning)  # SDXL's pipeline of itself
        return to_uint8(pipeline(prompt=list(prompts), generator=generators(seeds), output_type="np", **how).images)


def encode_text(parts: Folder, which: str, prompts: Sequence[str], *, length: int | None = None, **how: Any) -> Any:
    """What the text encoder of a pipeline whose name ends in ``which`` answers to ``prompts``, asked for as in ``how``.

    They are padded or cut to ``length`` tokens, or to all that the encoder takes. diffusers' pipelines would tokenise each
    prompt thrice, to warn of what is cut: see ``tokens_lost``.
    """
    tokenizer, encoder = parts[f"tokenizer{which}"], parts[f"text_encoder{which}"]
    tokens = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=length or tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return encoder(tokens.input_ids.to(encoder.device), **how)


def encode(autoencoder: Any, pixels_BHWC: NDArray[np.uint8]) -> Tensor:
    """(mode - shift) * scale of the autoencoder's posterior for uint8[B, H, W, 3] pictures: float32[B, C, H, W]."""
    import torch

    with torch.no_grad(), _wide(autoencoder) as weight:
        pictures = torch.tensor(pixels_BHWC, device=weight.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        mode = autoencoder.encode(pictures.to(weight.dtype)).latent_dist.mode().float()
    return (mode - (autoencoder.config.shift_factor or 0.0)) * autoencoder.config.scaling_factor


def decode(autoencoder: Any, latents_BCHW: Tensor) -> NDArray[np.uint8]:
    """Pictures of latents, uint8[B, H, W, 3]: ``encode`` backwards."""
    import torch

    config = autoencoder.config
    latents_BCHW = latents_BCHW / config.scaling_factor + (config.shift_factor or 0.0)
    with torch.no_grad(), _wide(autoencoder) as weight:
        pictures = autoencoder.decode(latents_BCHW.to(weight.dtype)).sample.float()
    return to_uint8(((pictures + 1) / 2).permute(0, 2, 3, 1).cpu().numpy())


@contextmanager
def _wide(autoencoder: Any) -> Iterator[Tensor]:
    """Give one of its weights, which says where and in what it works; diffusers would walk through all modules for that.

    In fp16 an autoencoder works in fp32, as diffusers' pipelines have it: SDXL's overflows.
    """
    import torch

    narrow = next(autoencoder.parameters()).dtype == torch.float16
    if narrow:
        autoencoder.to(torch.float32)
    yield next(autoencoder.parameters())
    if narrow:
        autoencoder.to(torch.float16)


def tokens_lost(tokenizer: Any, prompts: Sequence[str], *, most: int) -> list[int]:
    """How many tokens of each prompt, its marks included, are beyond ``most``."""
    found = tokenizer(list(prompts), truncation=False, padding=False).input_ids
    return [max(0, len(ids) - most) for ids in found]


def generators(seeds: Sequence[int]) -> list[Any]:
    """One generator for each seed, on the CPU: a GPU draws other numbers."""
    import torch

    return [torch.Generator().manual_seed(seed) for seed in seeds]


def to_uint8(pictures: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Pictures of floats in [0, 1] as uint8 of 0 to 255, rounded and not cut: truncation alone costs 51 dB."""
    return np.asarray(np.rint(np.clip(pictures, 0, 1) * 255), dtype=np.uint8)


def quiet() -> None:
    """Silence what the libraries say at every start: no torchvision (we want none), no text-encoder keys in a LoRA."""
    import diffusers
    import transformers

    for library in (transformers, diffusers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
