"""Files of the Hugging Face hub at a pinned revision. The hub's own cache keeps what was fetched, whole or in part."""

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from stages.base import folders
from stages.base.folders import Wanted
from stages.errors import ModelError

SHA256 = re.compile(r"[0-9a-f]{64}")
MARGIN = 1.02  # of the space needed: file systems and DVC keep some for themselves


def snapshot(repo: str, revision: str, wanted: Wanted, out: Path) -> tuple[Path, dict[str, str]]:
    """The folder in the hub's cache that has what is ``wanted`` of ``repo``, and which files of it that is.

    With ``HF_HUB_OFFLINE`` set, or when all is there, the network is not asked for files. ``out`` is where they will be
    copied to, and only asked for its free space.

    Raises:
        ModelError: when they cannot be had, saying what would help.
    """
    from httpx2 import HTTPError  # what the hub's package asks with, and lets through
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError

    asked = ["model_index.json", *(f"{part}/*{kind}" for part in wanted.parts for kind in folders.KINDS)]
    try:
        listing = snapshot_download(repo, revision=revision, allow_patterns=asked, dry_run=True)
        files = folders.chosen([each.filename for each in listing], wanted, where=repo)
        mine = {each.filename: each for each in listing if each.filename in files}
        fetched = sum(each.file_size or 0 for each in mine.values() if each.will_download)
        _check_space(repo, out, fetched, sum(each.file_size or 0 for each in mine.values()))
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except DryRunError as error:  # no network, none wanted, or none for us
        folder, files = _cached(repo, revision, wanted, error.__cause__ or error)
    except (HTTPError, OSError) as error:
        raise ModelError(_refusal(repo, revision, error)) from None
    _check_digests(repo, folder, files)
    return folder, files


def _cached(repo: str, revision: str, wanted: Wanted, reason: BaseException) -> tuple[Path, dict[str, str]]:
    """The same out of the cache, when all is there."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repo, repo_type="model")
    folder = Path(constants.HF_HUB_CACHE) / name / "snapshots" / revision
    try:
        return folder, folders.chosen(folders.names(folder), wanted, where=str(folder))
    except ModelError:
        raise ModelError(_refusal(repo, revision, reason)) from None


def _check_space(repo: str, out: Path, fetched: int, copied: int) -> None:
    """Refuse to begin what cannot end for want of space: the hub's cache and ``out`` may share a file system."""
    from huggingface_hub import constants

    needed: dict[int, tuple[Path, int]] = {}
    for place, size in ((Path(constants.HF_HUB_CACHE), fetched), (out, copied)):
        there = next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())
        device = there.stat().st_dev
        needed[device] = (there, needed.get(device, (there, 0))[1] + size)
    for there, size in needed.values():
        free = shutil.disk_usage(there).free
        if size * MARGIN > free:
            raise ModelError(
                f"{repo}: needs {size / 1e9:.1f} GB in {there}, where {free / 1e9:.1f} GB are free; make room, "
                "or set HF_HOME to a larger disk"
            )


def _check_digests(repo: str, folder: Path, files: Collection[str]) -> None:
    """Compare large files with the SHA-256 that the hub names them by in its cache."""
    for name in files:
        blob = (folder / name).resolve()
        if SHA256.fullmatch(blob.name) and (found := _sha256(blob)) != blob.name:
            blob.unlink()
            raise ModelError(
                f"{repo}: {name} was damaged on its way: its SHA-256 is {found}, not {blob.name}; it is removed, run again"
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refusal(repo: str, revision: str, error: BaseException) -> str:
    """What went wrong and what would help, by what the hub said: 401 no token, 403 not for this token, 404 not there."""
    from huggingface_hub import errors

    page, tokens = f"https://huggingface.co/{repo}", "https://huggingface.co/settings/tokens"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if isinstance(error, errors.GatedRepoError) and status == 403:
        what = f"is gated, and the token in HF_TOKEN may not read it; accept its licence at {page} with the token's account"
    elif isinstance(error, errors.GatedRepoError):
        what = f"is gated; accept its licence at {page}, and give a token of that account ({tokens}) in HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        what = f"has no revision {revision}; set family.origin.revision to one of {page}/commits/main"
    elif status == 401 and os.environ.get("HF_TOKEN"):
        what = f"the hub does not take the token in HF_TOKEN; make one at {tokens}"
    elif isinstance(error, errors.RepositoryNotFoundError):
        what = (
            "there is no such model, or it is private; set family.origin.repo, or HF_TOKEN to a token that may read it"
        )
    else:
        what = _unreached(f"HTTP {status}" if status else type(error).__name__)
    return f"{repo}: {what}"


def _unreached(said: str) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    cure = (
        "run once with HF_HUB_OFFLINE=0" if offline else "check the network and run again: it goes on where it stopped"
    )
    return f"could not be fetched ({said}); {cure}, or set family.origin.folder to a diffusers folder on this machine"
