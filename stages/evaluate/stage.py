"""Judge the adapter against its base, with intervals, and show it in one page that opens offline."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import machine, plugins, tables
from stages.config import settings
from stages.evaluate import recommendation, scores
from stages.evaluate.embedders import Embedder
from stages.evaluate.evidence import Evidence, Models
from stages.evaluate.metrics import Sorting
from stages.evaluate.pictures import Pictures
from stages.evaluate.recommendation import Preference
from stages.evaluate.report import curves, grids, page, words
from stages.evaluate.report.sources import Sources
from stages.images import encode_png
from stages.pipelines import Precision
from stages.records import ADAPTER, BASE, Confusion, PictureScore, Point, Recommendation, Report, Score

log = logging.getLogger(__name__)

Part = dict[str, Any]  # the settings of a part, with its name


@settings
class Config:
    """What is measured, and which checkpoint is recommended for it."""

    family: str
    base_precision: Precision  # of the frozen weights
    embedders: dict[str, Part]  # of ``embedders``: what turns pictures into features
    metrics: dict[str, Part]  # of ``metrics``
    recommend: Preference
    resamples: Annotated[int, Field(gt=0)]  # of the bootstrap
    seed: int
    threads: Annotated[int, Field(gt=0)]  # of torch: another number gives other bits


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
    """Write ``Score``, ``PictureScore`` and ``Confusion`` rows, a ``Recommendation``, ``report.html`` and ``plots``; report the adapter's numbers."""
    machine.use_threads(config.threads)
    pictures = Pictures(prepared, generated)
    models = Models(family=config.family, precision=config.base_precision, base=base, trained=trained)
    evidence = Evidence(pictures, models, encoded, _embedders(config), _resampling(config))
    metrics = {
        name: plugins.build("stages.evaluate.metrics", choice) for name, choice in sorted(config.metrics.items())
    }
    rows = [score for metric in metrics.values() for score in metric(evidence)]
    chosen = recommendation.of(rows, evidence, metrics.get(config.recommend.metric), config.recommend)
    of_pictures = list(evidence.of_pictures())
    confusions = [
        row for metric in metrics.values() if isinstance(metric, Sorting) for row in metric.confusions(evidence)
    ]
    tables.write(out, Score, rows)
    tables.write(out, Confusion, confusions)
    tables.write(out, PictureScore, of_pictures)
    tables.write(out, Recommendation, [chosen])
    _plot(out / "plots", rows, pictures, tables.read(trained, Point)[-1].step)
    sources = Sources(
        crawled=crawled,
        frames=frames,
        measured=measured,
        cleaned=cleaned,
        anonymised=anonymised,
        prepared=prepared,
        trained=trained,
    )
    factor = config.metrics.get("copy_rate", {}).get("factor")
    found = page.Judgement(
        scores=rows, of_pictures=of_pictures, confusions=confusions, chosen=chosen, copy_factor=factor
    )
    tables.replace(out / "report.html", page.render(sources, found, pictures).encode())
    for row in sorted(rows, key=lambda each: each.id):
        if row.arm in {BASE, ADAPTER}:
            log.info("  %s", _line(row))
    log.info("  recommended: %s (%s)", chosen.id, chosen.reason)
    return _report(rows, first=config.recommend.by)


def _plot(out: Path, rows: Sequence[Score], pictures: Pictures, last: int) -> None:
    """What ``dvc plots`` shows: each metric by the step of training, and the grid of pictures."""
    for metric, csv in curves.files(rows, last):
        tables.replace(out / "checkpoints" / f"{metric}.csv", csv.encode())
    tables.replace(out / "grid.png", encode_png(grids.sheet(pictures)))


def _line(row: Score) -> str:
    """One score in fewer than 80 columns: base, adapter, interval of the difference, verdict."""
    arms = " → ".join(words.number(value) for value in (row.base, row.adapter) if value is not None)
    return f"{row.id:22} {arms:18} {words.number(row.low):>8} … {words.number(row.high):8} {row.verdict}".rstrip()


def _embedders(config: Config) -> dict[str, Embedder]:
    return {
        name: plugins.build("stages.evaluate.embedders", choice) for name, choice in sorted(config.embedders.items())
    }


def _resampling(config: Config) -> scores.Resampling:
    return scores.Resampling(resamples=config.resamples, seed=config.seed)


def _report(rows: Sequence[Score], *, first: str) -> Report:
    """Numbers of the adapter as training ended; those of checkpoints stand in ``Score`` and in the plots."""
    fields = ("base", "adapter", "delta", "low", "high")
    final = sorted((row for row in rows if row.arm in {BASE, ADAPTER}), key=lambda row: row.metric != first)
    numbers = {f"{row.id}/{field}": getattr(row, field) for row in final for field in fields}
    return {name: number for name, number in numbers.items() if number is not None}
