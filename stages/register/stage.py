"""Register the adapter as a model version that knows its commit, its data and its judgement."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stages import rights, tables, tracking
from stages.config import settings
from stages.pipelines import Precision
from stages.records import Consent, Frame, Item, Receipt, Report, Ruling, Sample, Score
from stages.register import card

log = logging.getLogger(__name__)

DATA = ("data/crawl", "data/clean", "data/prepare", "data/base", "data/train")
CARD = "MODEL_CARD.md"
RESTRICTED = "restricted"  # the tag that says what must not be done with a version


@settings
class Config:
    """Which model, what it must have shown, and what its versions say of it."""

    experiment: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]  # of the newest version that may be published and sold
    gate: dict[
        str, Literal["better", "kept", "no evidence"]
    ]  # score to the verdict without which nothing is registered
    family: str
    base_precision: Precision  # of the frozen weights
    subject: str
    base_name: str
    base_licence: str
    restricted: Literal["mark", "refuse"]  # what becomes of a version that must not be published or sold
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
    cleaned: Path,
    prepared: Path,
    exported: Path,
    evaluated: Path,
    tracked: Path,
    out: Path,
) -> Report:
    """Write the model card; register adapter and card when every score of the gate has its verdict.

    A version whose policy bars publishing or earning is marked so in its card and tags and never gets the alias, or is
    refused: as ``config.restricted`` says. The result is the one that ``track`` logged: something may have changed since
    that changed no score.
    """
    receipts = tables.read(tracked, Receipt)
    entry = replace(tracking.read_lock(lock), result=receipts[0].id)
    samples, (ruling,) = tables.read(prepared, Sample), tables.read(cleaned, Ruling)
    facts = card.Facts(
        name=config.name,
        family=config.family,
        base=config.base_name,
        base_licence=config.base_licence,
        subject=config.subject or "the subject of its pictures",
        result=entry.result,
        ruling=ruling,
        items=[rights.as_ruled(item, ruling) for item in _used(crawled, frames, samples)],
        consents=tables.read(crawled, Consent),
        samples=samples,
        scores=tables.read(evaluated, Score),
    )
    tables.replace(out / CARD, card.written(facts).encode())
    missing = [*failed(facts.scores, config.gate), *refused(ruling, config.restricted)]
    if missing:
        log.info("register: not registered, the gate wants %s", "; ".join(missing))
    else:
        _say_restrictions(ruling, config.alias)
        tracking.register(entry, config.experiment, _registration(config, ruling, base, exported, out / CARD))
    tables.write(out, Receipt, [Receipt(id=each.id, what="" if missing else config.name) for each in receipts])
    return {"registered": int(not missing)}


def failed(scores: Sequence[Score], gate: dict[str, Literal["better", "kept", "no evidence"]]) -> list[str]:
    """What of the gate is not met, in words; nothing when the version may be registered."""
    verdicts: dict[str, str] = {score.id: score.verdict for score in scores}
    return [
        f"{name} {wanted}, and it is {verdicts.get(name) or 'not measured'}"
        for name, wanted in gate.items()
        if verdicts.get(name) != wanted
    ]


def refused(ruling: Ruling, restricted: Literal["mark", "refuse"]) -> list[str]:
    """What of the declared use keeps a version out, in words; nothing unless ``restricted`` refuses."""
    barred = rights.restrictions(ruling) if restricted == "refuse" else []
    return [f"a policy for every use, and {ruling.policy} is {words}" for words in barred]


def tags(ruling: Ruling) -> dict[str, str]:
    """What a version says of the policy behind its pictures."""
    barred = ", ".join(rights.restrictions(ruling))
    said = {"policy": ruling.policy, "policy.sha256": ruling.id, "use": rights.use(ruling)}
    return said | ({RESTRICTED: barred} if barred else {})


def _say_restrictions(ruling: Ruling, alias: str) -> None:
    if barred := ", ".join(rights.restrictions(ruling)):
        log.warning("register: %s, says the policy %s: the version is tagged so", barred, ruling.policy)
        log.warning("register: the alias %s stays where it is", alias)


def _registration(config: Config, ruling: Ruling, base: Path, exported: Path, file: Path) -> tracking.Registration:
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
        alias="" if rights.restrictions(ruling) else config.alias,
        code=Path(__file__).with_name("served.py"),
        artifacts=artifacts,
        config=settings_of,
        card=file.read_text(encoding="utf-8"),
        data=DATA,
        tags=tags(ruling),
    )


def _used(crawled: Path, frames: Path, samples: list[Sample]) -> list[Item]:
    """The items whose pictures were used to train or to judge."""
    rows = tables.by_id(frames, Frame)
    used = {rows[sample.frame].item for sample in samples}
    return [item for item in tables.read(crawled, Item) if item.id in used]
