"""A diffusers folder: which of its files a family needs, and whether it is a folder of that family at all."""

import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stages.base import weights
from stages.errors import ModelError

INDEX = "model_index.json"
# Whose pipeline a folder is, by the class that its index names. The families load each part by itself, so that what is
# made for another task, as inpainting, is no base for any of them.
FAMILIES = {
    "StableDiffusionPipeline": "sd15",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd35",
    "FluxPipeline": "flux",
}
KINDS = (".json", ".txt", ".safetensors")
# model.fp16.safetensors, model.fp16-00001-of-00002.safetensors, model.safetensors.index.fp16.json
VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is needed of a pipeline's folder."""

    parts: tuple[str, ...]  # its folders
    variant: str  # of weights, as fp16, where a part has them; empty: the plain ones
    held: Collection[str] = ()  # parts whose weights come from elsewhere: of these the configuration alone


def chosen(names: Collection[str], wanted: Wanted, *, where: str) -> dict[str, str]:
    """The files to take out of ``names``, relative to the folder, and what each is called without its variant.

    Raises:
        ModelError: when there is no index, or a part is missing or has its weights as pickles only.
    """
    if INDEX not in names:
        raise ModelError(f"{where}: holds no {INDEX}; give a diffusers folder, or a single file as family.origin.file")
    found = {INDEX: INDEX}
    for part in wanted.parts:
        mine = sorted(name for name in names if str(PurePosixPath(name).parent) == part)
        tensors = [name for name in mine if ".safetensors" in name]
        plain = [name for name in mine if name not in tensors and name.endswith(KINDS)]
        if not plain and not tensors:
            raise ModelError(f"{where}: has no part {part!r} as safetensors{_pickled(mine)}")
        if part not in wanted.held:
            if f"{part}/config.json" in mine and not tensors:
                raise ModelError(f"{where}: has no weights of {part!r} as safetensors{_pickled(mine)}")
            plain += _of_variant(tensors, wanted.variant)
        found |= {name: VARIANT.sub("", name) for name in plain}
    return found


def copy(folder: Path, out: Path, files: Mapping[str, str]) -> None:
    """Put ``files``, as ``chosen`` gives them, into ``out``; each safetensors file must be whole, and no shard missing.

    Raises:
        ModelError: when that is not so.
    """
    for name, target in files.items():
        file = folder / name
        if file.suffix == ".safetensors":
            weights.header(file)
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, out / target)  # follows the hub cache's links: DVC owns its outputs
        if name != target and file.suffix == ".json":
            _rename_shards(out / target)
    for index in out.glob("*/*.safetensors.index.json"):
        _check_shards(index, folder)


def check_family(folder: Path, family: str) -> None:
    """Compare the pipeline that the folder's index names with ``family``.

    Raises:
        ModelError: when it is another's, saying whose.
    """
    try:
        name = json.loads((folder / INDEX).read_text())["_class_name"]
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{folder / INDEX}: names no pipeline; fetch the folder again") from None
    found = FAMILIES.get(name)
    if found != family:
        advice = f"it looks like family={found}" if found else f"there are {', '.join(FAMILIES.values())}"
        raise ModelError(f"{folder}: is a {name}, no base of {family}; {advice}")


def names(folder: Path) -> list[str]:
    """All files below ``folder``, relative to it."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _of_variant(tensors: Iterable[str], variant: str) -> list[str]:
    """The weights of ``variant``, or the plain ones where there are none of it."""
    by_variant: dict[str, list[str]] = {}
    for name in tensors:
        mark = VARIANT.search(name)
        by_variant.setdefault(mark.group(1) if mark else "", []).append(name)
    return by_variant.get(variant) or by_variant.get("") or []


def _rename_shards(index: Path) -> None:
    """Name the shards in ``index``, the list of where each tensor lies, as ``copy`` named them."""
    listing = json.loads(index.read_text())
    listing["weight_map"] = {tensor: VARIANT.sub("", file) for tensor, file in listing["weight_map"].items()}
    index.write_text(json.dumps(listing, indent=2, sort_keys=True) + "\n")


def _check_shards(index: Path, folder: Path) -> None:
    """Each file that ``index`` names must be there."""
    listed = set(json.loads(index.read_text())["weight_map"].values())
    if missing := sorted(name for name in listed if not (index.parent / name).is_file()):
        raise ModelError(f"{folder}: lacks {index.parent.name}/{missing[0]}, which {index.name} lists; fetch it again")


def _pickled(files: Iterable[str]) -> str:
    pickles = [name for name in files if name.endswith(weights.PICKLES)]
    return f": {pickles[0]} is a pickle, which can run code when it is read" if pickles else ""
