"""The tiny base: shipped with the repository, or trained from nothing on pictures out of installed packages."""

import hashlib
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stages.base import origins, pictures
from stages.base.origins import Origin
from stages.base.settings import Training
from stages.config import settings
from stages.errors import ModelError
from stages.families.tiny import Shape, untrained
from stages.pipelines import quiet
from stages.records import Report


@settings
class Config:
    """What the tiny base is made of and how it was trained."""

    shipped: str  # a folder of ``stages/base/shipped``
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the shipped folder, see ``digest_of``
    specimens: Literal["photographs", "digits"]
    subjects: tuple[str, ...]  # names of photographs, or of digits
    views: Annotated[int, Field(gt=0)]  # crops of each photograph; digits are taken as they are
    min_crop: Annotated[float, Field(gt=0, le=1)]  # of the photograph's short side
    shape: Shape
    training: Training


def build(config: Config) -> Origin:
    """The origin over ``config``."""

    def fetch(shipped: Path, out: Path, *, train: bool) -> Report:
        return _train(config, out) if train else _copy(config, shipped, out)

    return fetch


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below ``folder``, sorted by name."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _copy(config: Config, shipped: Path, out: Path) -> Report:
    folder = shipped / config.shipped
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such shipped model; set base.train=true to train it")
    if (found := digest_of(folder)) != config.digest:
        raise ModelError(
            f"{folder}: its digest is {found}, not {config.digest}; restore it with `git checkout {folder}`"
        )
    shutil.copytree(folder, out, dirs_exist_ok=True)
    return {"trained": 0, "bytes": origins.size(out)}


def _train(config: Config, out: Path) -> Report:
    from stages.base import training

    labelled = pictures.labelled(
        config.specimens,
        config.subjects,
        views=config.views,
        min_crop=config.min_crop,
        side=config.shape.resolution,
        seed=config.training.seed,
    )
    words = sorted({word for _, caption in labelled for word in caption.split()})
    quiet()
    training.seed_everything(config.training)
    pipeline = untrained(config.shape, words)
    report = training.fit(pipeline, labelled, config.training)
    training.save_half(pipeline, out)
    return {"trained": 1, "bytes": origins.size(out), **report}
