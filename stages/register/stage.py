"""Register the recommended adapter as a model version that knows its commit, its data and its judgement."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stages import rights, tables, tracking, versions
from stages.config import settings
from stages.pipelines import Precision
from stages.records import (
    Consent,
    Frame,
    Item,
    PictureScore,
    Reading,
    Receipt,
    Recommendation,
    Report,
    Ruling,
    Sample,
    Score,
)
from stages.register import card, gate, promotion
from stages.register.gate import Gate
from stages.register.promotion import ARM, RESTRICTED

log = logging.getLogger(__name__)

DATA = ("data/crawl", "data/clean", "data/prepare", "data/base", "data/train")
CARD = "MODEL_CARD.md"


@settings
class Config:
    """Which model, what it must have shown, and what its versions say of it."""

    experiment: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    gate: Gate
    promote: bool  # whether what passes the gate becomes champion without being asked
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
    """Write the model card; register what ``evaluated`` recommends and ``exported`` holds, unless it fails the gate.

    A version is a candidate until it passes. One whose policy bars publishing or earning is marked so in its card and
    tags and is no candidate unless the gate takes such, or is refused: as ``config.restricted`` says. The result is the
    one that ``track`` logged: something may have changed since that changed no score.
    """
    receipts = tables.read(tracked, Receipt)
    entry = replace(tracking.read_lock(lock), result=receipts[0].id)
    samples, (ruling,) = tables.read(prepared, Sample), tables.read(cleaned, Ruling)
    scores, (chosen,) = tables.read(evaluated, Score), tables.read(evaluated, Recommendation)
    primary = gate.of(scores, config.gate.metric, chosen.id)
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
        scores=scores,
        chosen=chosen,
    )
    tables.replace(out / CARD, card.written(facts).encode())
    tables.write(out, Reading, gate.readings(tables.read(evaluated, PictureScore), samples, primary))
    tables.write(out, Score, scores)
    missing = [*failed(scores, chosen, config.gate), *refused(ruling, config.restricted)]
    if missing:
        log.info("register: not registered: %s", "; ".join(missing))
    else:
        _say_restrictions(ruling, config.gate)
        wanted = _registration(config, facts, base, exported, out)
        _judge(config, versions.register(entry, config.experiment, wanted))
    tables.write(out, Receipt, [Receipt(id=each.id, what="" if missing else config.name) for each in receipts])
    return {"registered": int(not missing)}


def failed(scores: Sequence[Score], chosen: Recommendation, asked: Gate) -> list[str]:
    """What of the gate is disproved, in words; nothing when the version may be registered."""
    return [each.words for each in gate.findings(scores, chosen.id, asked) if each.state == "failed"]


def refused(ruling: Ruling, restricted: Literal["mark", "refuse"]) -> list[str]:
    """What of the declared use keeps a version out, in words; nothing unless ``restricted`` refuses."""
    barred = rights.restrictions(ruling) if restricted == "refuse" else []
    return [f"a policy for every use, and {ruling.policy} is {words}" for words in barred]


def tags(ruling: Ruling) -> dict[str, str]:
    """What a version says of the policy behind its pictures."""
    barred = ", ".join(rights.restrictions(ruling))
    said = {"policy": ruling.policy, "policy.sha256": ruling.id, "use": rights.use(ruling)}
    return said | ({RESTRICTED: barred} if barred else {})


def _say_restrictions(ruling: Ruling, asked: Gate) -> None:
    if barred := ", ".join(rights.restrictions(ruling)):
        log.warning("register: %s, says the policy %s: the version is tagged so", barred, ruling.policy)
        if not asked.in_house:
            log.warning("register: the alias %s stays where it is", versions.CANDIDATE)


def _judge(config: Config, number: int) -> None:
    """Write on the version how it stands to the gate, and promote it where that is wanted: once."""
    version = versions.get(config.name, number)
    if versions.PROMOTED in version.tags:
        return  # what was said of it then stays
    found = promotion.consider(version, config.gate, promote=config.promote, anyway="")
    if gate.whole(found) != "met":
        log.info("register: version %d does not pass the gate for a champion", number)
    elif config.promote:
        log.info("register: version %d is champion", number)
    else:
        log.info("register: version %d passes: python -m stages.registry promote %d", number, number)
    for each in found:
        if each.state != "met":
            log.info("  %s: %s", each.state, each.words)


def _registration(config: Config, facts: card.Facts, base: Path, exported: Path, out: Path) -> versions.Registration:
    barred = rights.restrictions(facts.ruling)
    primary = gate.of(facts.scores, config.gate.metric, facts.chosen.id)
    return versions.Registration(
        name=config.name,
        candidate=config.gate.in_house or not barred,
        code=Path(__file__).with_name("served.py"),
        artifacts=_artifacts(config, base, exported, out),
        config=_served(config, base),
        card=(out / CARD).read_text(encoding="utf-8"),
        data=DATA,
        tags=tags(facts.ruling) | {ARM: facts.chosen.id},
        scores={config.gate.metric: gate.said(primary)} if primary else {},
    )


def _artifacts(config: Config, base: Path, exported: Path, out: Path) -> dict[str, Path]:
    """The files that go into a version."""
    files = {"adapter": exported / "adapter.safetensors", "card": out / CARD, "inspection": exported / "inspect.txt"}
    files |= {"scores": tables.path(out, Score), "readings": tables.path(out, Reading)}
    kohya = exported / "adapter.kohya.safetensors"
    files |= {"kohya": kohya} if kohya.is_file() else {}
    size = sum(each.stat().st_size for each in base.rglob("*") if each.is_file())
    return files | ({"base": base} if size <= config.embed_base_mb * 1_000_000 else {})


def _served(config: Config, base: Path) -> dict[str, Any]:
    """What the version is told when it is loaded."""
    return {
        "family": config.family,
        "base_precision": config.base_precision,
        "base": str(base),
        "size": list(config.size),
        "steps": config.steps,
        "guidance": config.guidance,
    }


def _used(crawled: Path, frames: Path, samples: list[Sample]) -> list[Item]:
    """The items whose pictures were used to train or to judge."""
    rows = tables.by_id(frames, Frame)
    used = {rows[sample.frame].item for sample in samples}
    return [item for item in tables.read(crawled, Item) if item.id in used]
