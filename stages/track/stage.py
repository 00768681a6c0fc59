"""Write what the stages left as files into one MLflow run for each distinct result."""

import json
from pathlib import Path

from stages import tables, tracking
from stages.config import settings
from stages.records import Point, Receipt, Report

DATASETS = ("data/crawl", "data/clean", "data/prepare")


@settings
class Config:
    """Where in MLflow."""

    experiment: str


def run(config: Config, *, lock: Path, reports: Path, trained: Path, evaluated: Path, out: Path) -> Report:
    """Log parameters, metrics, curves, pictures and data digests; leave a ``Receipt`` that names the result alone."""
    entry = tracking.read_lock(lock)
    points = tables.read(trained, Point)
    logged = tracking.Logged(
        metrics=_metrics(reports),
        curves={f"curve/{field}": _curve(points, field) for field in ("loss", "rate", "heldout_loss", "prior_loss")},
        files=[evaluated / "report.html", lock],
        pictures={"grid": evaluated / "grid.png"},
        datasets=DATASETS,
    )
    tracking.log_result(entry, config.experiment, logged)
    tables.write(out, Receipt, [Receipt(id=entry.result, what="tracked")])
    return {"metrics": len(logged.metrics), "params": len(entry.params)}


def _metrics(reports: Path) -> dict[str, float]:
    """All numbers of all reports but the bookkeeping stages' own, as ``stage/name``."""
    files = [file for file in sorted(reports.glob("*.json")) if file.stem not in tracking.BOOKKEEPING]
    return {f"{file.stem}/{name}": value for file in files for name, value in json.loads(file.read_bytes()).items()}


def _curve(points: list[Point], field: str) -> list[tuple[int, float]]:
    return [(point.step, getattr(point, field)) for point in points if getattr(point, field) is not None]
