"""A base model of the Hugging Face hub at a pinned revision, a diffusers folder, or a single safetensors file.

Only safetensors and configuration are taken: a pickle can run code when it is read. With ``folder`` set the network is
never asked. With ``file`` set the weights that it holds come from there; configuration, tokenizers and whatever it lacks
come from the folder or the hub.
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.base import fetching, folders, origins, single, weights
from stages.base.folders import Wanted
from stages.base.origins import Origin
from stages.config import settings
from stages.errors import ModelError
from stages.records import Report

log = logging.getLogger(__name__)


@settings
class Config:
    """Which model."""

    family: Literal["sd15", "sdxl", "sd35", "flux"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, so that it is always the same model
    folder: str  # a diffusers folder to take instead; empty: ask the hub
    file: str  # a safetensors file of the whole model or of its denoiser; empty: none
    variant: Literal["", "fp16", "bf16"]  # of the weights, where a part has it; empty: the plain ones
    sha256: Annotated[
        str, Field(pattern=r"^([0-9a-f]{64})?$")
    ]  # of ``file``, else over the files of ``folder``; empty: any
    parts: Annotated[tuple[str, ...], Field(min_length=1)]  # folders of the pipeline that are needed


def build(config: Config) -> Origin:
    """The origin over ``config``."""

    def fetch(_shipped: Path, out: Path, *, train: bool) -> Report:
        origins.refuse_training(train)
        file = Path(config.file).expanduser() if config.file else None
        tensors = weights.header(file) if file else {}
        held = single.held(tensors, config.family, where=str(file)) if file else frozenset[str]()
        folder, files = _found(config, Wanted(parts=config.parts, variant=config.variant, held=held), out)
        folders.check_family(folder, config.family)
        if file or config.folder:
            _hold_to(config.sha256, str(file or folder), _digest(file) if file else _digest_of_all(folder, files))
        folders.copy(folder, out, files)
        if file:
            single.convert(file, tensors, config.family, held, out)
        return {"trained": 0, "bytes": origins.size(out)}

    return fetch


def _hold_to(expected: str, where: str, found: str) -> None:
    """Refuse what lies at ``where`` when it is not what was expected; say what it is when nothing was.

    Raises:
        ModelError: with the digest that was found.
    """
    if expected and expected != found:
        raise ModelError(f"{where}: has the SHA-256 {found}, not that of family.origin.sha256; give the one you mean")
    if not expected:
        log.info("  %s: SHA-256 %s; in family.origin.sha256 it keeps another from being taken unseen", where, found)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_of_all(folder: Path, files: Mapping[str, str]) -> str:
    """Over the names and digests of ``files`` in ``folder``, as ``sha256sum`` writes them, in the order of the names."""
    lines = "".join(f"{_digest(folder / name)}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _found(config: Config, wanted: Wanted, out: Path) -> tuple[Path, dict[str, str]]:
    """Where the model's folder lies, and which files of it are needed."""
    if not config.folder:
        return fetching.snapshot(config.repo, config.revision, wanted, out)
    folder = Path(config.folder).expanduser()
    return folder, folders.chosen(folders.names(folder), wanted, where=str(folder))
