"""A training in MLflow: shown while it runs, and found again by the results that it leads to.

It appends to a file, and a process of its own, ``follow``, carries that to MLflow. So a store that is slow, locked or away
takes no time of the training. The run is tagged with the training's digest; the first result that the training leads to
completes this run instead of beginning another.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stages import machine, tables, tracking
from stages.errors import TrackingError
from stages.records import Point

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


CURVES = ("loss", "rate", "heldout_loss", "prior_loss")


def numbers_of(point: Point) -> dict[str, float]:
    """What a point of the training's curves shows: before the first step there is neither loss nor rate."""
    values = {name: getattr(point, name) for name in CURVES if point.step or name not in {"loss", "rate"}}
    return {f"curve/{name}": value for name, value in values.items() if value is not None}


def experiment() -> str | None:
    """The experiment that ``track`` will write to; None where there is no pipeline around."""
    file = tracking.root() / "params.yaml"
    values = yaml.safe_load(file.read_bytes()) if file.is_file() else {}
    name = values.get("track", {}).get("experiment")
    return None if name is None else str(name)


def start(spool: Path, name: str, training: str) -> "SpawnProcess":
    """A process that carries what a training appends to ``spool`` to a run in the experiment ``name``.

    What goes wrong in it stands in a file beside ``spool``.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_quietly, args=(spool, name, training), daemon=True)
    process.start()
    return process


def _quietly(spool: Path, name: str, training: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    with spool.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    follow(spool, name, training)


def follow(spool: Path, name: str, training: str) -> None:
    """Do what ``start`` promises, until the training says how it ended or is gone.

    It tries again for as long as the training runs when the store is away or locked, or the run was deleted.
    """
    parent = os.getppid()
    tracking.connected()  # nothing mends an address that makes no sense
    run: tracking.Run | None = None
    waiting: list[dict[str, Any]] = []
    for lines in _tail(spool):
        waiting += lines
        orphan = os.getppid() != parent
        if orphan:
            waiting.append({"ended": "KILLED"})
        try:
            run = run or tracking.shown(name, training)
            if run is not None:
                _carry(run, waiting)
        except (TrackingError, OSError):
            run = None
            if orphan:
                return
            continue
        if run is None or any("ended" in line for line in waiting):
            return
        waiting.clear()


@tracking.asked()
def _carry(run: tracking.Run, lines: Sequence[Mapping[str, Any]]) -> None:
    run.log([(name, line["step"], value) for line in lines for name, value in line.get("numbers", {}).items()])
    for line in lines:
        for name, file in line.get("pictures", {}).items():
            run.log_picture(name, line["step"], Path(file))
        if "ended" in line:
            run.end(line["ended"])


def _tail(spool: Path) -> Iterator[list[dict[str, Any]]]:
    """What was appended to ``spool`` since the last time, once a second and without an end."""
    rest = ""
    with spool.open() as stream:
        while True:
            *whole, rest = (rest + stream.read()).split("\n")  # a line may not be whole yet
            yield [json.loads(line) for line in whole]
            time.sleep(1)


def by_this_code(training: str) -> str:
    """The name of ``training`` in MLflow: other code may draw other curves of the same settings and data."""
    total = hashlib.sha256(training.encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()[:32]


def remember(trained: Path, training: str, figures: Mapping[str, float]) -> None:
    """Note beside the checkpoints which training left ``trained`` and what it took: no output may hold that."""
    note = {"training": training, "figures": dict(figures)}
    tables.replace(_note(trained), json.dumps(note, indent=2).encode())


def recall(trained: Path) -> tuple[str, dict[str, float]]:
    """What ``remember`` was told of ``trained``; nothing where it was made on another machine."""
    file = _note(trained)
    if not file.is_file():
        return "", {}
    note = json.loads(file.read_bytes())
    return note["training"], note["figures"]


def _note(trained: Path) -> Path:
    total = hashlib.sha256()
    for file in sorted(path for path in trained.rglob("*") if path.is_file()):
        total.update(file.relative_to(trained).as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return machine.cache("trainings") / f"{total.hexdigest()[:32]}.json"
