"""Many settings, each in a copy of the project of its own; what two jobs would compute alike is computed once.

    python -m stages.sweep -m train.rank=4,8 train.lr=1e-4,3e-4
    python -m stages.sweep -m hydra/launcher=joblib hydra.launcher.n_jobs=4 …     side by side
    python -m stages.sweep -m hydra/sweeper=optuna +sweep=rank_and_rate           a search
    python -m stages.sweep table multirun/NAME       its jobs so far, best first
    python -m stages.sweep apply multirun/NAME/JOB   make a job's result the project's own

The name is the digest of the project and of what is asked: the same sweep started again goes on where it was.
"""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from stages import terminal, tracking
from stages.errors import ConfigError, DarkroomError
from stages.sweep import jobs, results, runs, space, workspace
from stages.tables import replace

COMMANDS = ("apply", "table")


def main(arguments: Sequence[str]) -> int:
    """Do what ``arguments`` say; 1 when the user has something to put right, or every job failed."""
    try:
        if arguments and arguments[0] in COMMANDS:
            return _of_one(arguments[0], arguments[1:])
        if not {"-m", "--multirun"} & set(arguments):
            raise ConfigError(__doc__.strip() if __doc__ else "")
        return _swept(Path.cwd(), list(arguments))
    except DarkroomError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def name(project: Path, arguments: Sequence[str]) -> str:
    """12 hex digits over the project and over what is asked; how Hydra goes about it does not count.

    The order does: Hydra numbers the jobs by it.
    """
    asked = [
        each
        for each in arguments
        if each.startswith("hydra.sweeper.params") or not each.startswith(("hydra.", "hydra/launcher"))
    ]
    return hashlib.sha256(json.dumps([workspace.digest(project), asked]).encode()).hexdigest()[:12]


def _swept(project: Path, arguments: list[str]) -> int:
    folder = project / "multirun" / name(project, arguments)
    sys.path.insert(0, str(project / "conf"))  # where Hydra looks for hydra_plugins
    space.check(project, arguments)
    workspace.snapshot(project, folder / "project")
    try:
        with FileLock(folder / "running.lock", timeout=0):
            return _started(project, folder, arguments)
    except Timeout:
        raise ConfigError(
            f"{folder}: the same sweep is running already; wait for its end, or look on with "
            f"`python -m stages.sweep table {folder}`"
        ) from None


def _started(project: Path, folder: Path, arguments: list[str]) -> int:
    import hydra

    run = _launched(folder)
    told = {"project": str(project), "arguments": arguments, "run": run.id if run else "", "store": tracking.store()}
    replace(folder / "sweep.json", json.dumps(told).encode())
    sys.argv = [sys.argv[0], *arguments, f"hydra.sweep.dir={folder}"]
    conf = str(folder / "project" / "conf")
    try:
        hydra.main(version_base="1.3", config_path=conf, config_name="config")(jobs.run)()
    finally:
        _concluded(folder, run)
    return _said(folder)


def _launched(folder: Path) -> tracking.Launched | None:
    """The sweep's run in MLflow, where the project logs there."""
    file = folder / "project" / "conf" / "track.yaml"
    if not file.is_file():
        return None
    return runs.of_sweep(folder.name, yaml.safe_load(file.read_bytes())["track"]["experiment"])


def _concluded(folder: Path, run: tracking.Launched | None) -> None:
    """End the sweep's run with its table, its picture and the best job's objectives."""
    outcomes = results.read(folder)
    if run is None or not outcomes:
        return
    goals = _goals(folder)
    results.picture(outcomes, goals, folder / "sweep.png")
    replace(folder / "sweep.txt", results.table(outcomes, goals).encode())
    best = outcomes[results.ranked(outcomes, goals[0])[0]]
    numbers = {f"best/{goal.name}": best.numbers[goal.name] for goal in goals if goal.name in best.numbers}
    files = [file for file in (folder / "sweep.png", folder / "sweep.txt") if file.is_file()]
    whole = all(outcome.status != "failed" for outcome in outcomes.values())
    runs.end(run, "FINISHED" if whole else "FAILED", numbers=numbers, files=files)


def _said(folder: Path) -> int:
    """Print the table and leave the picture; 1 where no job came to an end."""
    outcomes, goals = results.read(folder), _goals(folder)
    results.picture(outcomes, goals, folder / "sweep.png")
    sys.stdout.write(f"{results.table(outcomes, goals)}\n{folder / 'sweep.png'}\n")
    names = [goal.name for goal in goals]
    said = {space.unwritten(names, each.numbers) for each in outcomes.values() if each.status in jobs.DONE}
    for missing in sorted(said - {""}):
        terminal.complain(missing)
    done = [number for number in results.ranked(outcomes, goals[0]) if math.isfinite(goals[0].cost(outcomes[number]))]
    if done:
        sys.stdout.write(f"the best: {results.command(folder / str(done[0]))}\n")
    return 0 if done else 1


def _goals(folder: Path) -> list[results.Goal]:
    values = yaml.safe_load(next(folder.glob("*/project/params.yaml")).read_bytes())["sweep"]
    pairs = zip(values["objectives"], values["directions"], strict=True)
    return [results.Goal(name=name, direction=direction) for name, direction in pairs]


def _of_one(command: str, arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        raise ConfigError(f"python -m stages.sweep {command} FOLDER: give one folder below multirun/")
    folder = Path(arguments[0]).resolve()
    return _said(folder) if command == "table" else _applied(Path.cwd(), folder)


def _applied(project: Path, job: Path) -> int:
    """Take over values, lock file and reports of ``job``, and its data from DVC's cache."""
    outcome = jobs.read(job)
    if outcome is None or outcome.status not in jobs.DONE:
        raise ConfigError(f"{job}: is no finished job; `python -m stages.sweep table {job.parent}` lists them")
    copy = job / "project"
    reports = {file.relative_to(copy) for file in _files(copy / "data" / "reports")}
    for file in _files(project / "data" / "reports"):
        if file.relative_to(project) not in reports:
            file.unlink()
    for name in [Path("params.yaml"), Path("dvc.lock"), *sorted(reports)]:
        replace(project / name, (copy / name).read_bytes())
    return subprocess.run([sys.executable, "-m", "dvc", "checkout"], cwd=project, check=False).returncode


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
