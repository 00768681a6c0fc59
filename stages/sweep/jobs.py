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

from stages import params
from stages.errors import TableError
from stages.sweep import flight, runs, space, trials, workspace
from stages.tables import replace

if TYPE_CHECKING:
    from omegaconf import DictConfig

LAST = "track"  # a sweep registers no models
LOOK_EVERY_S = 1.0

# Untracked: all was computed, and MLflow did not take it.
Status = Literal["finished", "untracked", "failed", "pruned"]
ENDED: Mapping[Status, runs.Ended] = {
    "finished": "FINISHED",
    "untracked": "FAILED",
    "failed": "FAILED",
    "pruned": "KILLED",
}
STATUS: Mapping[int, Status] = {0: "finished", flight.LAST_FAILED: "untracked"}  # by the exit code
DONE = ("finished", "untracked")  # with numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job; it lies in the job's folder as ``outcome.json``."""

    status: Status
    overrides: Sequence[str]  # what sets it apart
    numbers: Mapping[str, float]  # ``stage/name`` of all reports
    seconds: float
    why: str  # the last lines of its log, where something failed


def run(values: "DictConfig") -> float | tuple[float, ...]:
    """What Hydra calls for each job: the objectives; not a number where the job failed or was given up.

    A job that was finished is not done again, and none is begun once a job has shown that nobody writes an objective.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folder, sweep = Path(hydra.runtime.output_dir), Path(hydra.runtime.cwd, hydra.sweep.dir)
    outcome, names = read(folder), list(values.sweep.objectives)
    if (outcome is None or outcome.status in {"failed", "untracked"}) and not _in_vain(sweep, names):
        outcome = _done(values, folder, sweep, list(hydra.overrides.task))
        replace(folder / "outcome.json", json.dumps(asdict(outcome), indent=2).encode())
    found = objectives(outcome, names)
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


def objectives(outcome: Outcome | None, names: Sequence[str]) -> tuple[float, ...]:
    """The numbers that the sweep is about, each not a number where the job has none."""
    numbers = outcome.numbers if outcome is not None else {}
    return tuple(numbers.get(name, math.nan) for name in names)


def _in_vain(sweep: Path, names: Sequence[str]) -> bool:
    outcomes = [read(file.parent) for file in sweep.glob("*/outcome.json")]
    return any(each and each.status in DONE and space.unwritten(names, each.numbers) for each in outcomes)


def _done(values: "DictConfig", folder: Path, sweep: Path, overrides: Sequence[str]) -> Outcome:
    begun = time.monotonic()
    told = json.loads((sweep / "sweep.json").read_bytes())
    project, copy = Path(told["project"]), folder / "project"
    workspace.make(sweep / "project", project, copy)
    replace(copy / "params.yaml", params.resolved(values).encode())
    watch = trials.Watch(sweep, folder)
    own = [each for each in overrides if each not in told["arguments"]] or overrides  # what other jobs do not have
    run = runs.of_job(folder, values.track.experiment, title=" ".join(own), parent=told["run"]) if told["run"] else None
    code = _reproduced(project, copy, watch, run.environment() if run else {"MLFLOW_TRACKING_URI": told["store"]})
    stopped = watch.given_up and code != 0  # given up at its last step, a training is over all the same
    status: Status = "pruned" if stopped else STATUS.get(code, "failed")
    if run:
        runs.end(run, ENDED[status], numbers={}, files=[folder / "dvc.log"])
    return Outcome(
        status=status,
        overrides=overrides,
        numbers=_numbers(copy / "data" / "reports") if status in DONE else {},
        seconds=round(time.monotonic() - begun, 1),
        why=_last_lines(folder / "dvc.log") if status in {"untracked", "failed"} else "",
    )


def _reproduced(project: Path, copy: Path, watch: trials.Watch, store: Mapping[str, str]) -> int:
    """The exit code of DVC; meanwhile ``watch`` looks at the training."""
    command = [sys.executable, "-m", "stages.sweep.flight", str(project / ".dvc" / "tmp" / "flight"), LAST]
    environment = os.environ | watch.environment() | dict(store)
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
