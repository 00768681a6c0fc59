"""Leave the recommended adapter as files that say what they are and that other tools load at its true strength."""

import json
import logging
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import arms, rights, tables
from stages.config import settings
from stages.errors import ModelError
from stages.lora import about, files, inspection
from stages.lora.folders import Folder
from stages.lora.layers import Adapter
from stages.records import Arm, Frame, Item, Point, Recommendation, Report, Ruling, Sample

log = logging.getLogger(__name__)

ADAPTER, KOHYA, SAID = "adapter.safetensors", "adapter.kohya.safetensors", "inspect.txt"


@settings
class Config:
    """What the files say of the training; its numbers are those of ``train``."""

    title: Annotated[str, Field(min_length=1)]
    family: str
    subject: str
    base_name: str
    base_licence: str
    batch: int
    lr: float
    seed: int


def run(
    config: Config,
    *,
    base: Path,
    crawled: Path,
    frames: Path,
    cleaned: Path,
    prepared: Path,
    trained: Path,
    evaluated: Path,
    out: Path,
) -> Report:
    """Write the adapter with its metadata in diffusers' format, in kohya's where that has names for it, and a summary."""
    (chosen,) = tables.read(evaluated, Recommendation)
    source = arms.file(trained, chosen.id)
    lora = files.read(source)
    samples, (ruling,) = tables.read(prepared, Sample), tables.read(cleaned, Ruling)
    training = about.Training(
        title=config.title,
        family=config.family,
        base=config.base_name,
        base_licence=config.base_licence,
        prediction=_prediction(base),
        subject=config.subject,
        ruling=ruling,
        items=[rights.as_ruled(item, ruling) for item in _learned(crawled, frames, samples)],
        samples=samples,
        numbers=_numbers(config, _steps(trained, chosen.id)),
    )
    said = about.metadata(training, lora)
    files.relabel(source, out / ADAPTER, said)
    written = _write_kohya(out / KOHYA, Adapter(lora.layers, said), config.family, base)
    tables.replace(out / SAID, (inspection.table(inspection.facts(out / ADAPTER)) + "\n").encode())
    return {"layers": len(lora.layers), "kohya": int(written), "pictures": len(about.pictures(said))}


def _write_kohya(file: Path, lora: Adapter, family: str, base: Path) -> bool:
    """Write the file in kohya's format; without one when the format cannot say what was trained."""
    try:
        files.write_kohya(file, lora, family, Folder(base).weight)
    except ModelError as error:
        log.warning("export: no %s: %s", file.name, error)
        return False
    return True


def _numbers(config: Config, steps: int) -> dict[str, float]:
    """What sd-scripts would say of the training in numbers."""
    return {"steps": steps, "total_batch_size": config.batch, "learning_rate": config.lr, "seed": config.seed}


def _steps(trained: Path, arm: Arm) -> int:
    known = arms.steps(arm)
    return tables.read(trained, Point)[-1].step if known is None else known


def _learned(crawled: Path, frames: Path, samples: list[Sample]) -> list[Item]:
    """The items whose pictures the adapter learned from; the held-out ones only judged it."""
    learned = {sample.frame for sample in samples if sample.split == "train"}
    used = {frame.item for frame in tables.rows(frames, Frame) if frame.id in learned}
    return [item for item in tables.rows(crawled, Item) if item.id in used]


def _prediction(base: Path) -> str:
    """What the base's denoiser was taught to predict, as its scheduler names it; empty for a flow."""
    file = base / "scheduler" / "scheduler_config.json"
    return str(json.loads(file.read_bytes()).get("prediction_type", "")) if file.is_file() else ""
