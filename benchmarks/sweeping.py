"""What a sweep costs beside its stages' own work, and what a kill takes from it: ``python benchmarks/sweeping.py [NAME …]``.

    share       12 jobs that share crawl to encode, 2 at a time: how often each stage ran, CPU time beside the stages for
                each job, and the wall time against half of the distinct work
    kills       a sweep of 4 jobs killed with SIGKILL to the whole process group at random moments and started again, 5
                times: what ran twice, which results changed, and what MLflow shows

A stage's own work is the process that dvc.yaml names as its command, with what this starts and its imports; whoever runs
the stage without a sweep has it, too. Everything else is overhead: Hydra, the launcher's workers, the copies, DVC, MLflow's
runs, the table and the picture. ``compose`` and ``track`` bring no result, so they are given apart; both run in every job.
The distinct work is the time of the wall of all stages that ran. MLflow's data base is made before, as in any project that
ran once: that alone takes some ten seconds.

The project is a clone of this one over twelve small pictures, with a training of four steps. Each stage is watched by a
shell script called ``python`` in front of the PATH, which costs some milliseconds of what it measures. Times of the wall
mean something on an idle machine alone.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from small import SMALL, cpu_of_children, draw

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LITTLE = (  # to draw and to judge
    *("generate.subject_pictures=2", "generate.prior_pictures=2", "evaluate.resamples=10"),
    "metric=[heldout_loss,frechet,copy_rate]",
)
SIDE_BY_SIDE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
GRIDS = {
    "share": ("train.rank=1,2,3", "train.lr=0.1,0.2,0.3,0.4"),
    "kills": ("train.rank=1,2", "train.lr=0.1,0.2"),
}
BOOKKEEPING = ("compose", "track")
SHARED = ("crawl", "frames", "measure", "clean", "anonymise", "caption", "prepare", "base", "encode")
WATCH = """\
#!/bin/sh
begun=$(date +%s.%N)
{python} "$@"
code=$?
{{ echo "${{DVC_STAGE:-none}} $begun $(date +%s.%N) $code"; times; }} > "{log}/$$.tmp" && mv "{log}/$$.tmp" "{log}/$$.ran"
exit $code
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One process of a stage that came to its end."""

    stage: str
    begun: float  # s since the epoch
    ended: float
    cpu: float  # s, of the process and all that it waited for


class Project:
    """A clone of the last commit over small pictures of its own, with caches of its own, whose stages are watched."""

    def __init__(self, place: Path, grid: tuple[str, ...]) -> None:
        self.folder = place / "project"
        self._log = place / "log"
        self._log.mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.folder)], check=True)
        _store(self.folder)
        draw(self.folder / "data" / "own")
        self.command = [sys.executable, "-m", "stages.sweep", "-m", *SIDE_BY_SIDE, *SMALL, *LITTLE, *grid]
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
            "PATH": f"{self._watched(place / 'bin')}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "DARKROOM_CACHE": str(place / "cache"),
            "DARKROOM_LIVE": "0",
            "HF_HUB_OFFLINE": "1",
        }

    def _watched(self, folder: Path) -> Path:
        folder.mkdir()
        (folder / "python").write_text(WATCH.format(python=sys.executable, log=self._log))
        (folder / "python").chmod(0o755)
        return folder

    def start(self) -> "subprocess.Popen[str]":
        """Begin the sweep in a process group of its own."""
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ran(self) -> list[Ran]:
        """The processes of stages that came to their end, in this order."""
        return sorted(map(_read, self._log.glob("*.ran")), key=lambda ran: ran.ended)

    def outcomes(self) -> dict[str, bytes]:
        """What came of each job that is over, by its number."""
        return {file.parent.name: file.read_bytes() for file in self.folder.glob("multirun/*/*/outcome.json")}

    def runs(self) -> list[tuple[str, str]]:
        """Name and status of each run in MLflow."""
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        found = client.search_runs([each.experiment_id for each in client.search_experiments()])
        return sorted((run.info.run_name or "", run.info.status) for run in found)


def share(place: Path) -> dict[str, object]:
    """A whole sweep: what was computed, and what that cost."""
    project = Project(place, GRIDS["share"])
    cpu, begun = cpu_of_children(), time.time()
    process = project.start()
    said = process.communicate()[0]
    wall, all_cpu = time.time() - begun, cpu_of_children() - cpu
    jobs, ran = len(project.outcomes()), project.ran()
    own, apart = (sum(each.cpu for each in ran if (each.stage in BOOKKEEPING) == kind) for kind in (False, True))
    work = sum(each.ended - each.begun for each in ran)
    return {
        "exit": process.returncode,
        "jobs": jobs,
        "ran": Counter(each.stage for each in ran),
        "cpu_seconds": {"all": round(all_cpu, 1), "stages": round(own, 1), "compose_and_track": round(apart, 1)},
        "overhead_cpu_per_job": round((all_cpu - own - apart) / jobs, 2),
        "with_compose_and_track": round((all_cpu - own) / jobs, 2),
        "wall_seconds": round(wall, 1),
        "against_half_of_the_work": round(wall / (work / 2), 3),
        "said": said.splitlines()[-1:],
    }


def kills(place: Path, latest: float, times: int = 5) -> dict[str, object]:
    """Kill, start again, and look at what was lost."""
    project = Project(place, GRIDS["kills"])
    moments, changed = random.Random(0), 0
    for _ in range(times):
        before = project.outcomes()
        process, moment = project.start(), moments.uniform(10, latest)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        after = project.outcomes()
        changed += sum(after.get(job) != outcome for job, outcome in before.items())
        print(f"killed after {moment:.1f} s: {len(after)} jobs over, {len(project.ran())} stages run", flush=True)
    before = project.outcomes()
    process = project.start()
    said = process.communicate()[0]
    after = project.outcomes()
    ran = Counter(each.stage for each in project.ran())
    jobs = len(after)
    return {
        "exit": process.returncode,
        "outcomes_changed": changed + sum(after[job] != outcome for job, outcome in before.items()),
        "ran": ran,
        "ran_again": {stage: times for stage, times in _again(ran, jobs).items() if times},
        "mlflow": Counter(status for _, status in project.runs()),
        "shown_twice": len(project.runs()) - len({name for name, _ in project.runs()}),
        "said": said.splitlines()[-1:],
    }


def _again(ran: Counter[str], jobs: int) -> dict[str, int]:
    """How often each stage ran more than once for each of its results; compose, which has no cache, is left out."""
    return {stage: ran[stage] - (1 if stage in SHARED else jobs) for stage in ran if stage != "compose"}


def _store(project: Path) -> None:
    """MLflow's data base in ``project``."""
    command = [sys.executable, "-c", "from stages import tracking; tracking.connected()"]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    subprocess.run(command, cwd=project, env=environment | {"PYTHONPATH": str(project)}, check=True)


def _read(file: Path) -> Ran:
    """What the script wrote: stage, begin and end; then its own times and those of its children, as ``1m2.5s``."""
    first, _, children = file.read_text().splitlines()
    stage, begun, ended, _ = first.split()
    cpu = sum(60 * float(part.split("m")[0]) + float(part.split("m")[1].rstrip("s")) for part in children.split())
    return Ran(stage=stage, begun=float(begun), ended=float(ended), cpu=cpu)


def main() -> None:
    """Measure what is asked for, and print one JSON object for each."""
    measures: dict[str, Callable[..., dict[str, object]]] = {each.__name__: each for each in (share, kills)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*measures, []], default=[])
    parser.add_argument("--latest", type=float, default=90, help="seconds after a start, before which it is killed")
    parser.add_argument("--keep", type=Path, help="a folder to leave the project in")
    given = parser.parse_args()
    for name in given.names or measures:
        with tempfile.TemporaryDirectory() as place:
            more = [given.latest] if name == "kills" else []
            print(json.dumps({name: measures[name](given.keep or Path(place), *more)}), flush=True)


if __name__ == "__main__":
    main()
