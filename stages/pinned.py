"""Models of the Hugging Face hub at a pinned revision, or out of a folder on this machine: had, named and loaded.

What is fetched cannot run code: no pickle and no Python. The hub's own cache keeps it; with a folder the network is never
asked. The image processors of PIL are asked for by name: torchvision's are another package's and resize with other bits.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from stages import machine
from stages.errors import ModelError

HARMLESS = ("*.json", "*.txt", "*.jinja", "*.model", "*.safetensors")  # never *.bin or *.py: those can run code
_HOW: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class Pinned(Protocol):
    """Settings that say which model."""

    @property
    def repo(self) -> str:
        """Of the hub: ``owner/name``."""
        ...

    @property
    def revision(self) -> str:
        """A commit, so that it is always the same model."""
        ...

    @property
    def folder(self) -> str:
        """A folder with the model to take instead; empty: ask the hub."""
        ...


def identity(model: Pinned) -> str:
    """What the weights are called: ``repo@revision``, or the digest of all that lies in the local folder."""
    if not model.folder:
        return f"{model.repo}@{model.revision}"
    folder, digest = _local(model), hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def found(model: Pinned, *, where: str) -> Path:
    """The folder of a model of transformers; ``where`` names the settings in messages, as "model of the captioner".

    Raises:
        ModelError: when there is none, with what would help.
    """
    return _local(model) if model.folder else fetched(model, HARMLESS, where=where)


def fetched(model: Pinned, wanted: Sequence[str], *, where: str, unwanted: Sequence[str] = ()) -> Path:
    """The folder of ``model`` in the hub's cache, with the files that patterns want; fetched if need be.

    Raises:
        ModelError: when it cannot be had, with what would help.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    name = model.repo
    try:
        return Path(
            snapshot_download(
                name, revision=model.revision, allow_patterns=list(wanted), ignore_patterns=list(unwanted) or None
            )
        )
    except GatedRepoError:
        raise ModelError(
            f"{name}: is gated; accept its licence at https://huggingface.co/{name} and give a token in HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{name}: there is no such model, or it is private; set repo in {where}, or HF_TOKEN"
        ) from None
    except (LocalEntryNotFoundError, OSError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0") else ""
        raise ModelError(
            f"{name}@{model.revision}: could not be fetched{offline}: {type(error).__name__}; run once with "
            f"HF_HUB_OFFLINE=0, or set folder in {where} to a folder on this machine"
        ) from None


def network(folder: Path, auto: str, **how: Any) -> Any:
    """The model in ``folder``, frozen, on this machine's device. ``auto`` is the class of transformers that makes it.

    Raises:
        ModelError: when it cannot be loaded, or not all of it as safetensors.
    """
    import transformers

    with _sound(folder):
        net, said = getattr(transformers, auto).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **_HOW, **how
        )
    if said["missing_keys"]:  # transformers would draw them at random
        raise ModelError(f"{folder}: lacks weights, such as {min(said['missing_keys'])}; fetch the model anew")
    return net.requires_grad_(requires_grad=False).eval().to(machine.device())


def image_processor(folder: Path) -> Any:
    """What makes the input of a model in ``folder`` of pictures.

    Raises:
        ModelError: when it cannot be loaded.
    """
    import transformers

    with _sound(folder):
        return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **_HOW)


def tokenizer(folder: Path) -> Any:
    """What makes the input of a model in ``folder`` of words.

    Raises:
        ModelError: when it cannot be loaded.
    """
    import transformers

    with _sound(folder):
        return transformers.AutoTokenizer.from_pretrained(folder, **_HOW)


@contextmanager
def _sound(folder: Path) -> Iterator[None]:
    """Turn what a damaged or foreign model makes transformers raise into an error that says what would be right."""
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{folder}: no model that can be loaded ({first}); fetch it anew, as safetensors") from None


def _local(model: Pinned) -> Path:
    folder = Path(model.folder).expanduser()
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: holds no config.json; give the folder of {model.repo}, or none to ask the hub")
    return folder
