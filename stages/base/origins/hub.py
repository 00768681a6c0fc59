"""A base model of the Hugging Face hub at a pinned revision, or a diffusers folder on this machine.

Only safetensors and configuration are fetched: a pickle can run code when it is read. The hub's own cache keeps what was
fetched; with ``folder`` set the network is never asked.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages.base.origins import Origin
from stages.config import settings
from stages.errors import ModelError
from stages.records import Report


@settings
class Config:
    """Which model."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, so that it is always the same model
    folder: str  # a diffusers folder to take instead; empty: ask the hub
    parts: Annotated[tuple[str, ...], Field(min_length=1)]  # folders of the pipeline that are needed


def build(config: Config) -> Origin:
    """The origin over ``config``."""

    def fetch(_shipped: Path, out: Path, *, train: bool) -> Report:
        if train:
            raise ModelError("base.train: only the tiny family is trained here; set it to false")
        folder = Path(config.folder).expanduser() if config.folder else _fetched(config)
        files = list(_needed(folder, config))
        for file in files:
            target = out / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)  # follows the hub cache's links: DVC owns its outputs
        return {"trained": 0, "bytes": sum(file.stat().st_size for file in files)}

    return fetch


def _fetched(config: Config) -> Path:
    """The model's folder in the hub's cache, fetched if need be."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    wanted = ["model_index.json", *(f"{part}/*" for part in config.parts)]
    try:
        return Path(
            snapshot_download(
                config.repo,
                revision=config.revision,
                allow_patterns=wanted,
                ignore_patterns=["*.bin", "*.ckpt", "*.msgpack", "*.onnx*", "*openvino*", "*.fp16.*", "*.non_ema.*"],
            )
        )
    except GatedRepoError:
        raise ModelError(
            f"{config.repo}: is gated; accept its licence at https://huggingface.co/{config.repo} and give a token in HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{config.repo}: there is no such model, or it is private; set family.origin.repo or HF_TOKEN"
        ) from None
    except (LocalEntryNotFoundError, OSError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0") else ""
        raise ModelError(
            f"{config.repo}: could not be fetched{offline}: {type(error).__name__}; "
            "check the network, or set family.origin.folder to a diffusers folder on this machine"
        ) from None


def _needed(folder: Path, config: Config) -> Iterator[Path]:
    """The files of all parts, each of which must have safetensors or need no weights."""
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder}: holds no model_index.json; give a diffusers folder, not a single file")
    yield folder / "model_index.json"
    for part in config.parts:
        files = sorted(file for file in (folder / part).glob("*") if file.suffix in (".json", ".txt", ".safetensors"))
        files = [file for file in files if ".fp16." not in file.name and ".non_ema." not in file.name]
        if not files:
            raise ModelError(f"{folder}: has no part {part!r} as safetensors; pickled weights are not read")
        yield from files
