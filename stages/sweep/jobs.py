"""One job of a sweep: a copy of the project with values of its own, brought up to date, and what came of it."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stages import params, tracking
from stages.errors import TableError
from stages.sweep import trials, workspace
from stages.tables import replace

if TYPE_CHECKING:
    from omegaconf import DictConfig

LAST = "track"  # a sweep registers no models
LOOK_EVERY_S = 1.0

Status = Literal["finished", "failed", "pruned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job; it lies in the job's folder as ``outcome.json``."""

    status: Status
    overrides: Sequence[str]  # what sets it apart
    numbers: Mapping[str, float]  # ``stage/name`` of all reports
    seconds: float
    why: str  # the last lines of its log, where it failed


def run(values: "DictConfig") -> float | tuple[float, ...]:
    """What Hydra calls for each job: the objectives; not a number where the job failed or was given up.

    A job that was finished is not done again.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder, sweep = Path(hydra.runtime.output_dir), Path(hydra.runtime.cwd, hydra.sweep.dir)
    before = read(folder)
    if before is None or before.status == "failed":
        before = _done(values, folder, sweep, list(hydra.overrides.task))
        replace(folder / "outcome.json", json.dumps(asdict(before), indent=2).encode())
    found = objectives(before, list(values.sweep.objectives))
    return found[0] if len(found) == 1 else found


def read(folder: Path) -> Outcome | None:
    """The outcome of the job in ``folder``; none where it has none yet.

    Raises:
        TableError: when the file cannot be read.
    """
    file = folder / "outcome.json"
    if not file.is_file():
        return None
    try:
        return Outcome(**json.loads(file.read_bytes()))
    except (ValueError, TypeError):
        raise TableError(f"{file}: is no outcome of a job; remove it, what was computed is found again") from None


def objectives(outcome: Outcome, names: Sequence[str]) -> tuple[float, ...]:
    """The numbers that the sweep is about, each not a number where the job has none."""
    return tuple(outcome.numbers.get(name, math.nan) if outcome.status == "finished" else math.nan for name in names)


def _done(values: "DictConfig", folder: Path, sweep: Path, overrides: Sequence[str]) -> Outcome:
    begun = time.monotonic()
    told = json.loads((sweep / "sweep.json").read_bytes())
    project, copy = Path(told["project"]), folder / "project"
    workspace.make(sweep / "project", project, copy)
    replace(copy / "params.yaml", params.resolved(values).encode())
    watch = trials.Watch(sweep, folder)
    launched = _launched(values, told["run"], f"{folder.name}: {' '.join(overrides)}")
    code = _reproduced(project, copy, watch, launched.environment() if launched else {})
    status: Status = "pruned" if watch.given_up else "failed" if code else "finished"
    if launched:
        ended = {"finished": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}[status]
        tracking.conclude(launched, ended, numbers={}, files=[folder / "dvc.log"])
    return Outcome(
        status=status,
        overrides=overrides,
        numbers=_numbers(copy / "data" / "reports") if status == "finished" else {},
        seconds=round(time.monotonic() - begun, 1),
        why=_last_lines(folder / "dvc.log") if status == "failed" else "",
    )


def _launched(values: "DictConfig", parent: str, title: str) -> tracking.Launched | None:
    """The job's run below the sweep's in MLflow; none where the project logs nothing there."""
    return tracking.launch(values.track.experiment, title, parent=parent, tags={}) if parent else None


def _reproduced(project: Path, copy: Path, watch: trials.Watch, run: Mapping[str, str]) -> int:
    """The exit code of DVC; meanwhile ``watch`` looks at the training."""
    command = [sys.executable, "-m", "stages.sweep.flight", str(project / ".dvc" / "tmp" / "flight"), LAST]
    environment = os.environ | watch.environment() | dict(run)
    with (copy.parent / "dvc.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        while True:
            try:
                return process.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                watch.look()


def _numbers(reports: Path) -> dict[str, float]:
    found: dict[str, Any] = {file.stem: json.loads(file.read_bytes()) for file in sorted(reports.glob("*.json"))}
    return {f"{stage}/{name}": value for stage, report in found.items() for name, value in report.items()}


def _last_lines(log: Path, count: int = 5) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-count:])
