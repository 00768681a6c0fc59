"""Register the adapter as a model version that knows its commit, its data and its judgement."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stages import tables, tracking
from stages.config import settings
from stages.pipelines import Precision
from stages.records import Frame, Item, Receipt, Report, Sample, Score
from stages.register import card

log = logging.getLogger(__name__)

DATA = ("data/crawl", "data/clean", "data/prepare", "data/base", "data/train")
CARD = "MODEL_CARD.md"


@settings
class Config:
    """Which model, what it must have shown, and what its versions say of it."""

    experiment: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    gate: dict[
        str, Literal["better", "kept", "no evidence"]
    ]  # score to the verdict without which nothing is registered
    family: str
    base_precision: Precision  # of the frozen weights
    subject: str
    base_name: str
    base_licence: str
    embed_base_mb: Annotated[int, Field(ge=0)]  # a base up to this size goes into the version
    size: tuple[int, int]  # width and height in pixels
    steps: int
    guidance: float


def run(
    config: Config,
    *,
    lock: Path,
    base: Path,
    crawled: Path,
    frames: Path,
    prepared: Path,
    exported: Path,
    evaluated: Path,
    tracked: Path,
    out: Path,
) -> Report:
    """Write the model card; register adapter and card when every score of the gate has its verdict.

    The result is the one that ``track`` logged: something may have changed since that changed no score.
    """
    receipts = tables.read(tracked, Receipt)
    entry = replace(tracking.read_lock(lock), result=receipts[0].id)
    scores, samples = tables.read(evaluated, Score), tables.read(prepared, Sample)
    text = card.written(_facts(config, entry.result, _used(crawled, frames, samples), samples, scores))
    tables.replace(out / CARD, text.encode())
    missing = failed(scores, config.gate)
    if missing:
        log.info("register: not registered, the gate wants %s", "; ".join(missing))
    else:
        wanted = _registration(config, base, exported, text, out / CARD)
        tracking.register(entry, config.experiment, wanted)
    tables.write(out, Receipt, [Receipt(id=each.id, what="" if missing else config.name) for each in receipts])
    return {"registered": int(not missing)}


def failed(scores: list[Score], gate: dict[str, Literal["better", "kept", "no evidence"]]) -> list[str]:
    """What of the gate is not met, in words; nothing when the version may be registered."""
    verdicts: dict[str, str] = {score.id: score.verdict for score in scores}
    return [
        f"{name} {wanted}, and it is {verdicts.get(name) or 'not measured'}"
        for name, wanted in gate.items()
        if verdicts.get(name) != wanted
    ]


def _registration(config: Config, base: Path, exported: Path, text: str, file: Path) -> tracking.Registration:
    size = sum(each.stat().st_size for each in base.rglob("*") if each.is_file())
    artifacts = {"adapter": exported / "adapter.safetensors", "card": file, "inspection": exported / "inspect.txt"}
    kohya = exported / "adapter.kohya.safetensors"
    artifacts |= {"kohya": kohya} if kohya.is_file() else {}
    if size <= config.embed_base_mb * 1_000_000:
        artifacts["base"] = base
    settings_of: dict[str, Any] = {
        "family": config.family,
        "base_precision": config.base_precision,
        "base": str(base),
        "size": list(config.size),
        "steps": config.steps,
        "guidance": config.guidance,
    }
    return tracking.Registration(
        name=config.name,
        alias=config.alias,
        code=Path(__file__).with_name("served.py"),
        artifacts=artifacts,
        config=settings_of,
        card=text,
        data=DATA,
    )


def _facts(config: Config, result: str, items: list[Item], samples: list[Sample], scores: list[Score]) -> card.Facts:
    return card.Facts(
        name=config.name,
        family=config.family,
        base=config.base_name,
        base_licence=config.base_licence,
        subject=config.subject or "the subject of its pictures",
        result=result,
        items=items,
        samples=samples,
        scores=scores,
    )


def _used(crawled: Path, frames: Path, samples: list[Sample]) -> list[Item]:
    """The items whose pictures were used to train or to judge."""
    rows = tables.by_id(frames, Frame)
    used = {rows[sample.frame].item for sample in samples}
    return [item for item in tables.read(crawled, Item) if item.id in used]
