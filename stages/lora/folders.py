"""The weights of a diffusers folder, part by part, without building a network: for what is merged into it or taken out.

Only safetensors are read, sharded or not. A folder that is written has the files, names and precision of its base.
"""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import ModelError
from stages.lora.files import contents, packed
from stages.lora.layers import TEXT, Adapter, Layer, Lora, Product, classic
from stages.tables import replace

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
_STEMS = ("diffusion_pytorch_model", "model")  # of diffusers, of transformers
_TABLES = ("token_embedding", "position_embedding", "shared", "embed_tokens", "relative_attention_bias")  # no layers


class Folder:
    """The diffusers folder ``path``. A tensor is read when it is asked for, a file is written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: dict[str, dict[str, Any]] = {}

    def weight(self, layer: str) -> "Tensor":
        """The weight of ``layer``, as ``unet.mid_block.resnets.0.conv1``, in the folder's precision.

        Raises:
            ModelError: when there is no such layer.
        """
        found = self.opened(layer.partition(".")[0])
        for key in _keys(layer):
            if key in found:
                weight: Tensor = found[key].get_tensor(key)
                return weight
        raise ModelError(f"{self.path}: has no layer {layer}; give the base model that the adapter was made for")

    def differences(self, other: "Folder") -> Iterator[tuple[str, "Tensor | None"]]:
        """Each layer in which ``other`` differs, by how much, float64; and None by the name of what no LoRA can say.

        Raises:
            ModelError: when the two are not of one shape.
        """
        for part in PARTS:
            if not (self.path / part).is_dir():
                continue
            for key, mine, its in self._pairs(part, other):
                if mine.equal(its):
                    continue
                name, _, end = key.rpartition(".")
                is_layer = end == "weight" and mine.dim() in (2, 4) and name.rpartition(".")[2] not in _TABLES
                if is_layer:
                    yield classic(f"{part}.{name}"), its.double() - mine.double()
                else:
                    yield f"{part}.{key}", None

    def merged(self, pairs: Sequence[tuple[Adapter | Lora, float]], out: Path) -> None:
        """Write this folder with adapters, each at its strength, folded into it, into ``out``.

        Raises:
            ModelError: when ``out`` holds something, or an adapter has a layer that is not here, or of another shape.
        """
        if out.exists():
            raise ModelError(f"{out}: is there already; give --out a new folder")
        weights = {name: self._fitting(name, layer) for lora, _ in pairs for name, layer in lora.layers.items()}
        temporary = out.with_name(f".{out.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            shutil.copytree(self.path, temporary)
            for part in sorted({name.partition(".")[0] for name in weights}):
                for file in self._files(part):
                    self._fold(file, pairs, temporary / file.relative_to(self.path))
            temporary.replace(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _fold(self, file: Path, pairs: Sequence[tuple[Adapter | Lora, float]], out: Path) -> None:
        tensors, metadata = contents(file)
        layer_of = {
            f"{file.parent.name}/{key}": name
            for lora, _ in pairs
            for name in lora.layers
            if name.partition(".")[0] == file.parent.name
            for key in _keys(name)
        }
        for key, weight in list(tensors.items()):
            if name := layer_of.get(f"{file.parent.name}/{key}"):
                before = weight.double()
                after = before.clone()
                for lora, times in pairs:
                    if layer := lora.layers.get(name):
                        after += layer.applied(before, times) - before
                tensors[key] = after.to(weight.dtype)
        replace(out, packed(tensors, metadata))

    def _fitting(self, name: str, layer: Layer | Product) -> bool:
        shape = tuple(self.weight(name).shape)
        flat = isinstance(layer, Product) and (shape[0], math.prod(shape)) == (layer.shape[0], math.prod(layer.shape))
        if shape != layer.shape and not flat:
            raise ModelError(
                f"{self.path}: {name} is {shape}, and {layer.shape} in the adapter; give the base that it was made for"
            )
        return True

    def _pairs(self, part: str, other: "Folder") -> "Iterator[tuple[str, Tensor, Tensor]]":
        mine, theirs = self.opened(part), other.opened(part)
        for key in sorted(mine):
            one = mine[key].get_tensor(key)
            another = theirs[key].get_tensor(key) if key in theirs else None
            if another is None or another.shape != one.shape:
                raise ModelError(f"{other.path}: has no {part} {key} of {tuple(one.shape)}; give two of one family")
            yield key, one, another

    def opened(self, part: str) -> dict[str, Any]:
        """The opened file of each tensor of ``part``, by the tensor's name."""
        from safetensors import SafetensorError, safe_open

        if part not in self._opened:
            found: dict[str, Any] = {}
            for file in self._files(part):
                try:
                    opened = safe_open(file, framework="pt")
                except (SafetensorError, OSError) as error:
                    raise ModelError(
                        f"{file}: is no safetensors file, or was cut short ({error}); fetch it again"
                    ) from None
                found |= dict.fromkeys(opened.keys(), opened)  # type: ignore[no-untyped-call]
            self._opened[part] = found
        return self._opened[part]

    def _files(self, part: str) -> list[Path]:
        """The safetensors files that hold ``part``."""
        folder = self.path / part
        for stem in _STEMS:
            index = folder / f"{stem}.safetensors.index.json"
            if index.is_file():
                return [folder / name for name in sorted(set(json.loads(index.read_bytes())["weight_map"].values()))]
            if (folder / f"{stem}.safetensors").is_file():
                return [folder / f"{stem}.safetensors"]
        raise ModelError(f"{self.path}: has no {part} in safetensors; give a diffusers folder of the adapter's family")


def _keys(layer: str) -> tuple[str, str]:
    """The names that the weight of ``layer`` can have in its part's file: with the level ``TEXT``, and without."""
    module = layer.partition(".")[2]
    return f"{module}.weight", f"{module.removeprefix(TEXT)}.weight"
