"""Models of transformers as captioners: pinned, and remembered.

A processor of transformers would also load one for videos, which cannot do without torchvision; so the parts put
tokenizer and image processor together themselves.
"""

import ast
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from inspect import getsource
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Protocol

from PIL import Image
from pydantic import Field

from stages import machine, pinned
from stages.caption import memory
from stages.caption.captioners import Captioner, Told, View
from stages.config import settings
from stages.errors import ModelError
from stages.images import Pixels

STRIP = 100  # times as long as wide; Qwen's image processor refuses more than 200

Speaker = Callable[[Sequence[Pixels]], list[str]]  # the words for each picture of one batch


@settings
class Model:
    """Which weights speak, and how exactly they compute."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]  # of the Hugging Face hub
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, so that it is always the same model
    folder: str  # a folder with the model to take instead; empty: ask the hub
    dtype: Literal["float32", "bfloat16", "float16"]
    batch: Annotated[int, Field(gt=0)]  # pictures at a time; above 1 a neighbour can tip a word that was nearly even
    threads: Annotated[int, Field(gt=0)]  # of torch: another number gives other bits


class Spoken(Protocol):
    """The settings of a captioner that has a model: a dataclass with these and others."""

    @property
    def model(self) -> Model:
        """Its weights."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what stands before it: ``None`` where it has no words, or no eyes."""

    model: Any
    tokenizer: Any
    images: Any  # the image processor
    folder: Path


def captioner(part: str, config: Spoken, load: Callable[[], Speaker]) -> Captioner:
    """The captioner of the module ``part``. ``load`` is called when there is a picture that it has not seen before.

    Its words are kept in the cache folder, by the digest of the pixels and ``fingerprint``: one picture more costs one.
    """
    name = part.rpartition(".")[2]

    def caption(views: Sequence[View]) -> list[tuple[Told, ...]]:
        model = pinned.identity(config.model)
        store = machine.cache("captions") / f"{name}-{fingerprint(part, config, model)}"
        digests = [view.digest() for view in views]
        wanted = dict(zip(digests, views, strict=True))
        texts = memory.remembered(store, wanted, lambda: _seeing(load()), batch=config.model.batch)
        return [(Told(by=name, model=model, text=texts[digest], score=None),) for digest in digests]

    return caption


def fingerprint(part: str, config: Spoken, model: str) -> str:
    """16 hex digits that differ where the words could: settings, weights, our code, and the libraries' versions.

    Comments and layout of the code do not count: ``ast.dump`` leaves them out.
    """
    values = dataclasses.asdict(config)  # type: ignore[call-overload]
    for name in ("repo", "revision", "folder"):  # ``model`` says it
        del values["model"][name]
    code = [ast.dump(ast.parse(getsource(module))) for module in _modules(part)]
    libraries = {name: version(name) for name in ("numpy", "pillow", "tokenizers", "torch", "transformers")}
    key = json.dumps([values, model, code, libraries], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _modules(part: str) -> list[ModuleType]:
    """The module ``part`` and those of this folder that it speaks through."""
    module = import_module(part)
    used = {each.__name__: each for each in vars(module).values() if isinstance(each, ModuleType)}
    return [module, *(used[name] for name in sorted(used) if name.startswith("stages.caption."))]


def load(model: Model, *, auto: str, kinds: Sequence[str]) -> Loaded:
    """The model, its tokenizer and its image processor. ``auto`` is the class of transformers that makes the model.

    Raises:
        ModelError: when it cannot be had, is of none of ``kinds``, or has no weights as safetensors.
    """
    import torch

    folder = pinned.found(model, where="model of the captioner")
    _check(folder, kinds)
    machine.use_threads(model.threads)
    net = pinned.network(folder, auto, dtype=getattr(torch, model.dtype))
    eyes = _has(folder, "preprocessor_config.json", "processor_config.json")
    reads = _has(folder, "tokenizer_config.json", "tokenizer.json")
    return Loaded(
        net,
        pinned.tokenizer(folder) if reads else None,
        pinned.image_processor(folder) if eyes else None,
        folder,
    )


def generate(loaded: Loaded, inputs: Mapping[str, Any], *, most: int, beams: int) -> list[str]:
    """The words that ``loaded`` writes after ``inputs``: greedy or by beams, never drawn, at most ``most`` tokens."""
    import torch

    given = moved(inputs, loaded.model)
    with torch.inference_mode():
        tokens = loaded.model.generate(**given, do_sample=False, num_beams=beams, max_new_tokens=most)
    asked = given["input_ids"].shape[1]
    if torch.equal(tokens[:, :asked], given["input_ids"]):  # a decoder says the question again, an encoder's does not
        tokens = tokens[:, asked:]
    return list(loaded.tokenizer.batch_decode(tokens, skip_special_tokens=True))


def token_counter(folder: Path) -> Callable[[str], int]:
    """What counts the tokens of a text, those at its start and end left out, by the tokenizer in ``folder``.

    Raises:
        ModelError: when there is no tokenizer.
    """
    import transformers

    transformers.utils.logging.set_verbosity_error()  # it warns of texts that are longer than the model's
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):
        raise ModelError(
            f"{folder}: holds no tokenizer; set caption.tokenizer to the family's, or to nothing"
        ) from None
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids)


def pictures(pixels: Sequence[Pixels]) -> list[Image.Image]:
    """``pixels`` as Pillow's pictures: of an array of three rows no image processor knows where its colours are."""
    return [Image.fromarray(each) for each in pixels]


def moved(inputs: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """``inputs`` on the device of ``model``, fractions in its precision."""
    import torch

    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in tensors.items()
    }


def _seeing(speak: Speaker) -> Callable[[Sequence[View]], list[str]]:
    return lambda views: _said(speak, [view.pixels() for view in views])


def _said(speak: Speaker, pixels: Sequence[Pixels]) -> list[str]:
    """The words for each of ``pixels``; none for a strip, which no model was made for and some refuse."""
    asked = [max(each.shape[:2]) <= STRIP * min(each.shape[:2]) for each in pixels]
    words = iter(speak([each for each, ask in zip(pixels, asked, strict=True) if ask]) if any(asked) else ())
    return [next(words) if ask else "" for ask in asked]


def _has(folder: Path, *names: str) -> bool:
    return any((folder / name).is_file() for name in names)


def _check(folder: Path, kinds: Sequence[str]) -> None:
    try:
        kind = json.loads((folder / "config.json").read_bytes()).get("model_type", "")
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"{folder}: its config.json is no configuration; fetch the model anew") from None
    if kinds and kind not in kinds:
        raise ModelError(f"{folder}: holds a model of type {kind!r}; this captioner speaks with: {', '.join(kinds)}")
