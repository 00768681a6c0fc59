"""Files of weights: what a safetensors file says of itself before any of it is loaded, and what is refused unread."""

import json
from pathlib import Path
from typing import Any

from stages.errors import ModelError

PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
MOST_HEADER = 100_000_000  # bytes; the safetensors library's own limit

Header = dict[str, dict[str, Any]]  # dtype, shape and place of each tensor, by its name


def header(file: Path) -> Header:
    """What ``file`` holds. The whole file is known to be there; its tensors are not read.

    The format: eight bytes of length, so many of JSON, then the tensors to the last byte
    (https://huggingface.co/docs/safetensors).

    Raises:
        ModelError: when it is missing, a pickle, no safetensors, or shorter or longer than it says.
    """
    if not file.is_file():
        raise ModelError(f"{file}: there is no such file")
    if file.suffix in PICKLES:
        raise ModelError(f"{file}: is a pickle, which can run code when it is read; give a .safetensors file")
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(b"version "):
            raise ModelError(f"{file}: is a pointer of Git LFS, not the file itself; `git lfs pull` fetches it")
        found = _parsed(stream.read(length)) if 8 + length <= size and length <= MOST_HEADER else None
    if found is None:
        raise ModelError(f"{file}: is no safetensors file, or cut off within its header; fetch it again")
    found.pop("__metadata__", None)
    end = 8 + length + max((entry["data_offsets"][1] for entry in found.values()), default=0)
    if end != size:
        raise ModelError(f"{file}: has {size:,} bytes and should have {end:,}; fetch it again")
    return found


def _parsed(text: bytes) -> Header | None:
    try:
        found = json.loads(text)
    except ValueError:  # no UTF-8 or no JSON
        return None
    return found if isinstance(found, dict) else None
