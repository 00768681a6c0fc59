"""The runs of a sweep and of its jobs in MLflow. It is a log: what cannot be logged is said, and the work goes on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from stages import terminal, tracking
from stages.errors import TrackingError

Ended = Literal["FINISHED", "FAILED", "KILLED"]  # as MLflow names it


def of_sweep(name: str, experiment: str) -> tracking.Launched | None:
    """The run of the sweep ``name``, the same at each start; None where MLflow does not answer."""
    return _launched(experiment, f"sweep {name}", ("darkroom.sweep", name), parent="")


def of_job(job: Path, experiment: str, *, title: str, parent: str) -> tracking.Launched | None:
    """The run of the job in the folder ``job`` of a sweep's folder, below the run ``parent``; None without a parent."""
    tag = ("darkroom.job", f"{job.parent.name}/{job.name}")
    return _launched(experiment, f"{job.name}: {title}", tag, parent=parent) if parent else None


def end(run: tracking.Launched, ended: Ended, *, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
    """End ``run`` with what came of it."""
    try:
        tracking.conclude(run, ended, numbers=numbers, files=files)
    except TrackingError as error:
        terminal.complain(str(error))


def _launched(experiment: str, title: str, only: tuple[str, str], *, parent: str) -> tracking.Launched | None:
    try:
        return tracking.launch(experiment, title, only=only, parent=parent)
    except TrackingError as error:
        terminal.complain(str(error))
        return None
