"""What encoders made, kept in the cache folder: one picture more costs one, and what has changed is never met again.

An entry is found by the digest of what was encoded, inside a folder whose name is the digest of who encoded it and how.
"""

import hashlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import stages
from stages import memory

Named = Mapping[str, Any]  # tensors by the names under which they are kept
QUANTISER = "bitsandbytes"  # of bases of 4 and 8 bits, where it is installed
LIBRARIES = (QUANTISER, "diffusers", "safetensors", "tokenizers", "torch", "transformers")
CODE = ("encode", "families", "images.py", "pipelines.py")  # of ours, that an encoded picture or text hangs on
DENOISERS = ("transformer", "unet")  # folders of a base that encode nothing


def remembered(store: Path, digest: str, encode: Callable[[], Named]) -> Named:
    """What ``encode`` gives for the thing of ``digest``: from ``store``, where it lies there whole, or made and kept."""
    from safetensors.torch import load, save

    file = memory.place(store, digest)
    known = memory.recalled(file)
    if known is not None:
        return load(known)
    made = {name: tensor.detach().cpu().contiguous() for name, tensor in encode().items()}
    memory.keep(file, save(made))
    return made


def fingerprint(how: Mapping[str, Any], base: Path, *, without: tuple[str, ...]) -> str:
    """Who encodes, and how: 32 hex digits over the settings ``how``, of which ``surroundings`` are a part, and the weights.

    The weights are all files of ``base`` but the denoiser's and those in folders whose names begin as one of ``without``.
    They are read each time, for the time of a file says nothing of its content.
    """
    total = hashlib.sha256(repr(sorted(how.items())).encode())
    _take_in(total, base, without=(*DENOISERS, *without))
    return total.hexdigest()[:32]


def surroundings() -> dict[str, str]:
    """What an answer hangs on beside settings and weights: libraries, the processor, and code of ours."""
    total, home = hashlib.sha256(), Path(stages.__path__[0])
    for name in CODE:
        _take_in(total, home / name, without=())
    versions = {name: version(name) for name in LIBRARIES if find_spec(name) or name != QUANTISER}
    return versions | {"processor": _processor(), "code": total.hexdigest()}


def _processor() -> str:
    """What computes: another one gives other last bits."""
    import torch

    from stages import machine

    if machine.device() == "cuda":
        return torch.cuda.get_device_name()
    return str(torch.backends.cpu.get_cpu_capability())


def _take_in(total: Any, place: Path, *, without: tuple[str, ...]) -> None:
    """Feed names and content of the files at ``place`` to ``total``."""
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    for file in files:
        inside = file.relative_to(place).as_posix()
        if "__pycache__" in inside or inside.startswith(without):
            continue
        with file.open("rb") as content:
            total.update(f"{inside}\0".encode() + hashlib.file_digest(content, "sha256").digest())
