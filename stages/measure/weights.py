"""Models of transformers that see pictures: at a pinned revision or from a folder, without pickle or foreign code."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from PIL import Image
from pydantic import Field

from stages import machine
from stages.config import settings
from stages.errors import ModelError
from stages.images import Pixels

NEEDED = ["*.json", "*.safetensors"]  # never *.bin or *.py: those can run code


@settings
class Weights:
    """Which weights."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]  # of the Hugging Face hub
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]  # a commit, so that it is always the same model
    folder: str  # a folder with the model to take instead; empty: ask the hub


@dataclass(frozen=True, slots=True)
class Eye:
    """A model and what makes its input of a picture."""

    net: Any
    images: Any  # the image processor

    def input(self, pixels: Pixels) -> Any:
        """``pixels``, uint8[H, W, 3], as the model wants them: float32[1, 3, h, w]."""
        image = Image.fromarray(pixels)
        return self.images(images=image, return_tensors="pt")["pixel_values"].to(machine.device())


def identity(weights: Weights) -> str:
    """What the weights are called: ``repo@revision``, or the digest of the files in the local folder."""
    if not weights.folder:
        return f"{weights.repo}@{weights.revision}"
    folder, digest = _local(weights), hashlib.sha256()
    for file in sorted(path for pattern in NEEDED for path in folder.glob(pattern)):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()}"


def load(weights: Weights, *, auto: str) -> Eye:
    """The model and its image processor. ``auto`` is the class of transformers that makes the model.

    The image processor is the one of PIL: torchvision's is another package's and resizes with other bits.

    Raises:
        ModelError: when it cannot be had, or not all of it as safetensors.
    """
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder = _local(weights) if weights.folder else _fetched(weights)
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        net, found = getattr(transformers, auto).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **how
        )
        images = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **how)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{folder}: no model that can be loaded ({first}); fetch it anew, as safetensors") from None
    if found["missing_keys"]:  # transformers would draw them at random
        raise ModelError(f"{folder}: lacks weights, such as {min(found['missing_keys'])}; fetch the model anew")
    return Eye(net.requires_grad_(requires_grad=False).eval().to(machine.device()), images)


def _local(weights: Weights) -> Path:
    folder = Path(weights.folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: holds no config.json; give the folder of a model of transformers")
    return folder


def _fetched(weights: Weights) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(weights.repo, revision=weights.revision, allow_patterns=NEEDED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"{weights.repo}@{weights.revision}: cannot be fetched ({first}); run once with HF_HUB_OFFLINE=0, or give its folder"
        ) from None
