"""Write what the stages left as files into one MLflow run for each distinct result."""

import csv
import json
import logging
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import tables, tracking, trainings
from stages.config import settings
from stages.records import Point, Receipt, Report

DATASETS = ("data/crawl", "data/clean", "data/prepare")


log = logging.getLogger(__name__)


@settings
class Config:
    """Where in MLflow, and what a machine costs."""

    experiment: str
    price_per_hour: Annotated[float, Field(ge=0)]  # of all machines that train; 0 says nothing of costs
    currency: str


def run(config: Config, *, lock: Path, reports: Path, plots: Path, trained: Path, evaluated: Path, out: Path) -> Report:
    """Log parameters, metrics, curves, pictures and data digests; leave a ``Receipt`` that names the result alone."""
    entry = tracking.read_lock(lock)
    points = tables.read(trained, Point)
    training, figures = trainings.recall(trained)
    metrics = _metrics(reports)
    logged = tracking.Logged(
        metrics=metrics | {f"machine/{name}": value for name, value in _with_cost(figures, config).items()},
        curves=_curves(points) | _judged(plots / "checkpoints"),
        files=[evaluated / "report.html", lock],
        pictures={"grid": evaluated / "grid.png"},
        samples={_named(file): file for file in sorted((trained / "samples").glob("*.png"))},
        training=training,
        datasets=DATASETS,
    )
    tracking.log_result(entry, config.experiment, logged)
    tables.write(out, Receipt, [Receipt(id=entry.result, what="tracked")])
    return {"metrics": len(metrics), "params": len(entry.params)}


def _metrics(reports: Path) -> dict[str, float]:
    """All numbers of all reports but the bookkeeping stages' own, as ``stage/name``."""
    files = [file for file in sorted(reports.glob("*.json")) if file.stem not in tracking.BOOKKEEPING]
    return {f"{file.stem}/{name}": value for file in files for name, value in json.loads(file.read_bytes()).items()}


def _curves(points: list[Point]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        for name, value in trainings.numbers_of(point).items():
            curves.setdefault(name, []).append((point.step, value))
    return curves


def _judged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Each metric over the checkpoints as evaluate plots it, the base at step 0."""
    found = {}
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="") as rows:
            found[f"checkpoint/{file.stem}"] = [(int(row["step"]), float(row["value"])) for row in csv.DictReader(rows)]
    return found


def _with_cost(figures: dict[str, float], config: Config) -> dict[str, float]:
    """``figures`` of a training with what it cost, where a price is known; no output holds them, for they differ."""
    if not figures or not config.price_per_hour:
        return figures
    cost = figures["seconds"] / 3600 * config.price_per_hour
    hourly = f"{config.price_per_hour:g} {config.currency} an hour"
    log.info("track: the training took %.0f s: %.2f %s at %s", figures["seconds"], cost, config.currency, hourly)
    return figures | {f"cost_{config.currency}": cost}


def _named(file: Path) -> tuple[str, int]:
    """Name and step of a picture that train drew on its way: ``STEP-NAME.png``."""
    step, _, name = file.stem.partition("-")
    return f"samples/{name}", int(step)
