"""LoRA files on disk: safetensors in diffusers' format, with metadata, or in kohya's. Tensors are float32.

The same adapter gives the same bytes. Nothing is ever unpickled.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import ModelError
from stages.lora.kohya import Weights, from_kohya, inner_rank, is_product, to_kohya
from stages.lora.layers import TEXT, Adapter, Layer, Lora, Product, classic, refuse_half
from stages.tables import replace

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = "lora_adapter_metadata"  # diffusers': peft's configuration of each part, as JSON
HASHES = ("modelspec.hash_sha256", "sshs_model_hash")  # of the tensors' bytes, for who looks files up by it
PLACEHOLDER = "0" * 64
_A, _B, _M = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
_MOST = 100_000_000  # bytes of a header, the limit of the safetensors library


def save(file: Path, networks: Mapping[str, Any]) -> None:
    """The adapters of ``networks``, by their names in a pipeline (``unet``, ``transformer``), as one diffusers file.

    With diffusers' metadata, without which the strength (alpha / rank) is lost; the same bytes for the same weights.
    """
    import torch
    from diffusers.training_utils import _collate_lora_metadata
    from peft.utils import get_peft_model_state_dict

    tensors, settings_of = dict[str, Any](), dict[str, Any]()
    for part, network in networks.items():
        state = get_peft_model_state_dict(network)
        tensors |= {classic(f"{part}.{name}"): value.detach().to("cpu", torch.float32) for name, value in state.items()}
        collated = _collate_lora_metadata({part: network})[f"{part}_lora_adapter_metadata"]
        settings_of |= {f"{part}.{key}": _plain(value) for key, value in collated.items()}
    replace(file, packed(tensors, {SETTINGS: json.dumps(settings_of, sort_keys=True)}))


def read(file: Path) -> Adapter:
    """The adapter in ``file``, of either format.

    Raises:
        ModelError: when it is missing, cut short, or holds anything but a LoRA, DoRA, LoKr or LoHa.
    """
    tensors, metadata = contents(file)
    kept = {key: value for key, value in metadata.items() if key not in (SETTINGS, "format")}
    if all(key.startswith("lora_") for key in tensors):
        return Adapter(from_kohya(tensors, where=str(file)), kept)
    return Adapter(_from_diffusers(tensors, json.loads(metadata.get(SETTINGS, "{}")), str(file)), kept)


def write(file: Path, lora: Lora) -> None:
    """``lora`` as a diffusers file, with the strength of each layer in its metadata and classic names."""
    tensors, settings_of = dict[str, Any](), dict[str, Any]()
    for name, layer in lora.layers.items():
        tensors |= {f"{classic(name)}.{end}": value.float() for end, value in _ends(layer).items()}
    for part in sorted({name.partition(".")[0] for name in lora.layers}):
        mine = {name.partition(".")[2]: layer for name, layer in lora.layers.items() if name.startswith(f"{part}.")}
        settings_of |= {f"{part}.{key}": value for key, value in _settings(mine).items()}
    replace(file, packed(tensors, {**lora.metadata, SETTINGS: json.dumps(settings_of, sort_keys=True)}))


def write_kohya(file: Path, lora: Adapter | Lora, family: str, weights: Weights | None = None) -> None:
    """``lora`` as a file in kohya's format for ``family``; ``weights`` gives those of the base, which a DoRA needs.

    Raises:
        ModelError: as ``to_kohya``.
    """
    replace(file, packed(to_kohya(lora.layers, family, weights), lora.metadata))


def relabel(file: Path, out: Path, metadata: Mapping[str, str]) -> None:
    """``file``, of any kind of adapter, as ``out``: the same tensors and settings, and ``metadata`` beside them."""
    tensors, own = contents(file)
    replace(out, packed(tensors, {**own, **metadata}))


def contents(file: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        ModelError: when it is missing, or is none, or was cut short.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as loaded

    if not file.is_file():
        raise ModelError(f"{file}: there is no such file; give a LoRA's .safetensors file")
    content = file.read_bytes()
    try:
        return loaded(content), _header(content).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise ModelError(
            f"{file}: is no safetensors file, or was cut short ({error}); fetch or make it again"
        ) from None


def packed(tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file, the same bytes for the same content; ``HASHES`` that the metadata hold are filled in."""
    from safetensors.torch import save as written

    ordered = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    blank = {key: PLACEHOLDER for key in HASHES if key in metadata}
    content = written(ordered, metadata={"format": "pt", **metadata, **blank})
    if blank:
        digest = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
        filled = {key: f"0x{digest}" if key.startswith("modelspec") else digest for key in blank}
        content = written(ordered, metadata={"format": "pt", **metadata, **filled})
    return sorted_header(content)


def sorted_header(safetensors: bytes) -> bytes:
    """The same safetensors file with sorted metadata: the library writes its keys in an order that changes by run."""
    length = int.from_bytes(safetensors[:8], "little")
    header = _header(safetensors)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors to start at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + safetensors[8 + length :]


def _header(safetensors: bytes) -> dict[str, Any]:
    length = int.from_bytes(safetensors[:8], "little")
    if length > _MOST:
        raise ValueError(f"a header of {length} bytes")
    header: dict[str, Any] = json.loads(safetensors[8 : 8 + length])
    return header


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else value


def _ends(layer: Layer) -> dict[str, "Tensor"]:
    ends = {_A: layer.down, _B: layer.up}
    if layer.magnitude is None:
        return ends
    return {**ends, _M: layer.magnitude.reshape(1, -1, 1, 1) if layer.down.dim() == 4 else layer.magnitude}


def _settings(layers: Mapping[str, Layer]) -> dict[str, Any]:
    """What peft must know of the layers of one part, by their modules."""
    rank = Counter(layer.rank for layer in layers.values()).most_common(1)[0][0]
    alpha = Counter(layer.alpha for layer in layers.values()).most_common(1)[0][0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {_pattern(name): each.rank for name, each in sorted(layers.items()) if each.rank != rank},
        "alpha_pattern": {_pattern(name): each.alpha for name, each in sorted(layers.items()) if each.alpha != alpha},
        "target_modules": [name.removeprefix(TEXT) for name in sorted(layers)],
        "use_dora": any(layer.magnitude is not None for layer in layers.values()),
    }


def _pattern(module: str) -> str:
    """A regular expression, as peft wants it, for just this module, whether its class has the level ``TEXT`` or not."""
    rest = module.removeprefix(TEXT)
    return f"^({re.escape(TEXT)})?{re.escape(rest)}" if rest != module else f"^{re.escape(rest)}"


def _from_diffusers(
    tensors: Mapping[str, "Tensor"], settings_of: Mapping[str, Any], where: str
) -> dict[str, Layer | Product]:
    """The layers in a file of diffusers; without its settings the strength is 1, as diffusers has it."""
    ends: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, end = _parted(key, where)
        ends.setdefault(classic(name), {})[end] = value
    found: dict[str, Layer | Product] = {}
    for name, its in sorted(ends.items()):
        part, _, module = name.partition(".")
        mine = {key.removeprefix(f"{part}."): value for key, value in settings_of.items() if key.startswith(f"{part}.")}
        if is_product(its):
            refuse_half(its, where=f"{where}: {name}")
            rank = int(_by_pattern(module, mine, "rank_pattern", mine.get("r", 0)) or inner_rank(its))
            alpha = float(_by_pattern(module, mine, "alpha_pattern", mine.get("alpha", rank)))
            found[name] = Product(its, alpha, rank)
            continue
        if not its.keys() >= {_A, _B}:
            raise ModelError(f"{where}: {name} has {', '.join(sorted(its))}; a LoRA has {_A} and {_B}")
        magnitude = its[_M].flatten() if _M in its else None
        found[name] = Layer(its[_A], its[_B], _alpha(module, its[_A].shape[0], mine), magnitude)
    return found


def _parted(key: str, where: str) -> tuple[str, str]:
    """A tensor's layer and what it is of it."""
    for end in (_A, _B, _M):
        if key.removesuffix(".weight").endswith(f".{end.removesuffix('.weight')}"):
            return key[: key.rindex(f".{end.removesuffix('.weight')}")], end
    layer, _, end = key.removesuffix(".weight").rpartition(".")
    if is_product({end: None}):
        return layer, end
    raise ModelError(f"{where}: {key} is no tensor of a LoRA; give a LoRA in diffusers' or kohya's format")


def _alpha(module: str, rank: int, settings_of: Mapping[str, Any]) -> float:
    """The alpha of one layer whose strength is alpha / rank, by peft's rules."""
    alpha = float(_by_pattern(module, settings_of, "alpha_pattern", settings_of.get("lora_alpha", rank)))
    return alpha * rank**0.5 if settings_of.get("use_rslora") else alpha


def _by_pattern(module: str, settings_of: Mapping[str, Any], patterns: str, default: Any) -> Any:
    """What the first of ``patterns`` that fits ``module`` says, by peft's rule, or else ``default``."""
    said: Mapping[str, Any] = settings_of.get(patterns) or {}
    return next((value for key, value in said.items() if re.match(rf"(.*\.)?({key})$", module)), default)
