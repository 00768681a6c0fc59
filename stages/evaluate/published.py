"""Weights that users bring as one file, as their authors publish them: read as tensors and as nothing else.

Models come as safetensors everywhere else, for a pickle can run code when it is read. These few were published as pickles
long ago and as nothing since, and a number bears the metric's name only with their very bytes. So a pickle is read where
its SHA-256 is the one in conf/, which is known before anything is read, and then by torch's reader of tensors, which
makes no other objects and is never asked to. Who would rather have safetensors converts the file and gives that digest.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]


@settings
class Published:
    """Which file."""

    file: str  # .safetensors, or the .pth of its authors; ~ is the user's folder
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of that file
    url: str  # where it is to be had


def read(weights: Published) -> Tensors:
    """The tensors of ``weights`` by name, on this machine's device.

    Raises:
        ModelError: when the file is not there, is another, or holds anything but tensors.
    """
    file = Path(weights.file).expanduser()
    if not file.is_file():
        raise ModelError(
            f"{file}: there is no such file; have it from {weights.url}, as by `curl -L --create-dirs -o {file} {weights.url}`"
        )
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != weights.sha256:
        raise ModelError(
            f"{file}: its SHA-256 is {found} and should be {weights.sha256}; fetch it again from {weights.url}, "
            "or give the digest of your own"
        )
    return _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)


def _safetensors(file: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file, device=machine.device())
    except SafetensorError as error:
        raise ModelError(f"{file}: no safetensors ({error}); convert it anew") from None


def _pickled(file: Path) -> Tensors:
    import pickle

    import torch

    try:
        found = torch.load(file, map_location=machine.device(), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{file}: cannot be read as tensors alone ({first}); give the file of its authors") from None
    if not isinstance(found, dict) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise ModelError(f"{file}: holds more than tensors by name; give the file of its authors")
    return dict(found)
