"""The loop over a planted fault, run as a user would in copies of this project: ``python benchmarks/loop.py [NAME …]``.

    starved     of nines turned right the site gives a handful: what each round finds, and what that gained in all
    even        the same site without the fault: little should be flagged. The test is over pictures, of one training and
                one split, and what these favoured is truly ahead

For each of ``--seeds`` of training, which also choose the split, with caches of its own. A loop took four to ten minutes
on two cores beside other work.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from stages import tables
from stages.iterate import progress
from stages.iterate.progress import Gain, State
from stages.records import Slice

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
RESAMPLES = 10_000  # of the gain in all


def starved(project: Path, seed: int) -> None:
    """The first round alone, then all of them: what DVC has of the first is not computed again."""
    _iterate(project, seed, rounds=1)
    first, found = _state(project), _slices(project)
    _show(_iterate(project, seed, rounds=ROUNDS))
    last, left = _state(project), _slices(project)
    for name in (each.id for each in found.values() if each.flagged):
        print(f"  {name}: {_kind(found[name])}; at the end {_kind(left[name])}", flush=True)
    for what, samples in (("what was flagged", progress.behind(first)), ("the rest", progress.others(first))):
        gained = progress.gain(first, last, samples, resamples=RESAMPLES, seed=0)
        print(f"  loss of {what}, first round to last: {_factor(gained)}", flush=True)


def even(project: Path, seed: int) -> None:
    """One round without the fault."""
    _show(_iterate(project, seed, "~crawl.sources.sample.limits.right", rounds=1))
    for each in _slices(project).values():
        print(f"  {each.id}: {_kind(each)}", flush=True)


MEASURES: dict[str, Callable[[Path, int], None]] = {"starved": starved, "even": even}


def _clone(folder: Path) -> Path:
    project = folder / "project"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
    return project


def _iterate(project: Path, seed: int, *overrides: str, rounds: int) -> str:
    """What the loop prints; where it fails, all of it is shown."""
    environment = {**os.environ, "PYTHONPATH": str(project), "DARKROOM_CACHE": str(project.parent / "cache")}
    command = [sys.executable, "-m", "stages.iterate", "--rounds", str(rounds), "+experiment=starved"]
    command += [f"train.seed={seed}", *([f"prepare.salt=seed-{seed}"] if seed else []), *overrides]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def _show(output: str) -> None:
    """The table, less all that stands before it."""
    lines = output.splitlines()
    begin = max(number for number, line in enumerate(lines) if line.startswith("round "))
    print("\n".join(lines[begin:]), flush=True)


def _state(project: Path) -> State:
    metric = yaml.safe_load((project / "params.yaml").read_text())["feedback"]["metric"]
    return progress.read(project / "data", metric)


def _slices(project: Path) -> dict[str, Slice]:
    return tables.by_id(project / "data" / "feedback", Slice)


def _kind(found: Slice) -> str:
    counts = f"{found.trained} to train on, {len(found.samples)} held out"
    return f"{counts}, learned {found.learned:.3f} beside {found.rest:.3f}, {found.effect:.2f} sd, q {found.q:.4f}"


def _factor(gained: Gain | None) -> str:
    if gained is None:
        return "nothing to compare"
    return f"x {gained.factor:.3f} ({gained.low:.3f} … {gained.high:.3f}) of {gained.pictures} pictures"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    for name in given.names or MEASURES:
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as place:
                begun = time.monotonic()
                print(f"{name}, seed {seed}", flush=True)
                MEASURES[name](_clone(Path(place)), seed)
                print(f"  {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
