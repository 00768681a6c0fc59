"""Judge the adapter against its base, with intervals, and show it in one page that opens offline."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import machine, tables
from stages.config import settings
from stages.evaluate import by_model, by_picture, report, scores
from stages.evaluate.pictures import Pictures
from stages.images import encode_png
from stages.records import Report, Score

log = logging.getLogger(__name__)

Positive = Annotated[int, Field(gt=0)]


@settings
class Config:
    """What is measured, and when a difference counts."""

    family: str
    embedder: dict[str, Any]  # one of ``embedders``, for the Fréchet distance
    judge: dict[str, Any] | None  # one of ``judges``, where the prompts can be judged
    strength: Annotated[float, Field(gt=0, lt=1)]  # of image-to-image: how far pictures are noised
    steps: Positive  # of image-to-image
    margin: Annotated[float, Field(ge=0)]  # share of the base's value that the prior may lose
    copy_factor: Annotated[float, Field(gt=0)]  # nearer than this times the usual distance is a copy
    resamples: Positive  # of the bootstrap
    seed: int
    threads: Positive  # of torch: another number gives other bits


def run(
    config: Config,
    *,
    base: Path,
    crawled: Path,
    frames: Path,
    measured: Path,
    cleaned: Path,
    anonymised: Path,
    prepared: Path,
    encoded: Path,
    trained: Path,
    generated: Path,
    out: Path,
) -> Report:
    """Write ``Score`` rows, ``report.html`` and ``grid.png``; report each score's numbers."""
    machine.use_threads(config.threads)
    pictures = Pictures(prepared, generated)
    rows = [
        *by_model.measured(_probe(config), base, encoded, trained, pictures),
        *by_picture.measured(_opinion(config), pictures),
    ]
    tables.write(out, Score, rows)
    tables.replace(out / "grid.png", encode_png(report.grid(pictures)))
    sources = report.Sources(
        crawled=crawled,
        frames=frames,
        measured=measured,
        cleaned=cleaned,
        anonymised=anonymised,
        prepared=prepared,
        trained=trained,
    )
    tables.replace(out / "report.html", report.page(sources, rows, pictures).encode())
    for row in sorted(rows, key=lambda each: each.id):
        log.info("  %s", _line(row))
    return _report(rows)


def _line(row: Score) -> str:
    """One score in fewer than 80 columns: base, adapter, interval of the difference, verdict."""
    arms = " → ".join(report.number(value) for value in (row.base, row.adapter) if value is not None)
    return f"{row.id:22} {arms:18} {report.number(row.low):>8} … {report.number(row.high):8} {row.verdict}".rstrip()


def _probe(config: Config) -> by_model.Probe:
    return by_model.Probe(
        family=config.family,
        strength=config.strength,
        steps=config.steps,
        margin=config.margin,
        seed=config.seed,
        how=scores.Resampling(resamples=config.resamples, seed=config.seed),
    )


def _opinion(config: Config) -> by_picture.Opinion:
    return by_picture.Opinion(
        embedder=config.embedder,
        judge=config.judge,
        margin=config.margin,
        copy_factor=config.copy_factor,
        how=scores.Resampling(resamples=config.resamples, seed=config.seed),
    )


def _report(rows: Sequence[Score]) -> Report:
    fields = ("base", "adapter", "delta", "low", "high")
    numbers = {f"{row.id}/{field}": getattr(row, field) for row in rows for field in fields}
    return {name: number for name, number in numbers.items() if number is not None}
