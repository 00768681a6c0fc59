"""MLflow, and nothing else but ``versions`` imports it. It is a log, never an input: what a stage needs lies in files.

A result is named by the digest of its entries in dvc.lock, so that what DVC restores from its cache still shows against
the right run, once. The store is ``MLFLOW_TRACKING_URI`` or else ``mlflow.db`` beside dvc.yaml.

A training shows while it runs: it appends to a file, and a process of its own, ``follow``, carries that to MLflow. So a
store that is slow, locked or away takes no time of the training. The run is tagged with the training's digest; the
first result that the training leads to completes this run instead of beginning another.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stages import machine, tables
from stages.errors import TableError
from stages.records import Point

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

RESULT = "darkroom.result"
TRAINING = "darkroom.training"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else MLflow's pages open as for chat models
BOOKKEEPING = ("compose", "track", "register")  # stages that make no result


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What dvc.lock says of a result."""

    result: str  # 16 hex digits over commands, dependencies, parameters and outputs
    params: Mapping[str, str]  # ``train.rank`` to its value as text
    outs: Mapping[str, str]  # path to DVC's digest
    digest: str  # SHA-256 of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What one run shows."""

    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[int, float]]]  # name to step and value
    files: Sequence[Path]
    pictures: Mapping[str, Path]
    samples: Mapping[tuple[str, int], Path]  # pictures of a training on its way, by name and step
    datasets: Sequence[str]  # outputs whose digests are data sets of the run
    training: str  # the digest of the training that led to it; empty where nobody remembers


def read_lock(file: Path) -> Lock:
    """The result that ``file``, a dvc.lock, describes.

    Raises:
        TableError: when it cannot be read.
    """
    from ruamel.yaml import YAML  # dvc.lock is YAML 1.2: PyYAML would turn NO into False
    from ruamel.yaml.error import YAMLError

    content = file.read_bytes() if file.is_file() else b""
    try:
        stages = YAML(typ="safe").load(content)["stages"]
    except (YAMLError, TypeError, KeyError):
        raise TableError(
            f"{file}: is no dvc.lock; remove it and `dvc repro`, what is cached is not computed again"
        ) from None
    kept = {name: stage for name, stage in stages.items() if name not in BOOKKEEPING}
    parts = {name: {key: stage.get(key) for key in ("cmd", "deps", "params", "outs")} for name, stage in kept.items()}
    values = {
        key: value for stage in kept.values() for key, value in stage.get("params", {}).get("params.yaml", {}).items()
    }
    return Lock(
        result=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16],
        params=dict(_flat(values)),
        outs={out["path"]: out["md5"] for stage in kept.values() for out in stage.get("outs", [])},
        digest=hashlib.sha256(content).hexdigest(),
    )


def log_result(lock: Lock, experiment: str, logged: Logged) -> bool:
    """Write one finished run for ``lock.result``, unless there is one already; says whether it wrote.

    A run that was broken off is removed and written anew. One that showed the training while it ran is completed. A run
    that the launcher made is filled, whatever other runs there are of that result.
    """
    mlflow, client = connected()
    where = experiment_id(mlflow, client, experiment)
    alike = [] if os.environ.get("MLFLOW_RUN_ID") else client.search_runs([where], f"tags.`{RESULT}` = '{lock.result}'")
    for run in alike:
        if run.info.status == "FINISHED":
            return False
        client.delete_run(run.info.run_id)
    run = _Run(client, _live(client, where, logged.training) or client.create_run(where).info.run_id)
    run.begin({RESULT: lock.result, **provenance(lock)})
    _log_numbers(run, lock, logged)
    _log_datasets(client, run.id, lock, logged.datasets)
    for file in logged.files:
        client.log_artifact(run.id, str(file))
    for name, file in logged.pictures.items():
        client.log_artifact(run.id, str(file), "pictures")
        run.log_picture(name, 0, file)
    for (name, step), file in logged.samples.items():
        run.log_picture(name, step, file)
    client.set_terminated(run.id)
    return True


class _Run:
    """A run that is being filled. What it holds already is not written again."""

    def __init__(self, client: Any, id: str) -> None:
        self.id = id
        self._client = client
        names = client.get_run(id).data.metrics
        self._numbers = {(name, point.step) for name in names for point in client.get_metric_history(id, name)}
        images = [Path(each.path).name.split("+") for each in client.list_artifacts(id, "images")]
        self._pictures = {(parts[0].replace("~", "/"), int(parts[2])) for parts in images}  # as log_image names them

    def begin(self, tags: Mapping[str, str]) -> None:
        """Open it, again if need be."""
        for name, value in tags.items():
            self._client.set_tag(self.id, name, value)
        self._client.update_run(self.id, status="RUNNING")

    def log(self, numbers: Sequence[tuple[str, int, float]]) -> None:
        """Write ``numbers``, each a name, a step and a value."""
        from mlflow.entities import Metric

        fresh = {(name, step): value for name, step, value in numbers if (name, step) not in self._numbers}
        now = round(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for (name, step), value in fresh.items()]
        for start in range(0, len(metrics), 1000):  # MLflow's limit for one batch
            self._client.log_batch(self.id, metrics=metrics[start : start + 1000])
        self._numbers |= set(fresh)

    def describe(self, params: Mapping[str, str]) -> None:
        """Write ``params``."""
        from mlflow.entities import Param

        entities = [Param(name, value[:6000]) for name, value in sorted(params.items())]  # MLflow's limit
        for start in range(0, len(entities), 100):
            self._client.log_batch(self.id, params=entities[start : start + 100])

    def log_picture(self, name: str, step: int, file: Path) -> None:
        """Write the picture ``file``."""
        if (name, step) not in self._pictures:
            self._client.log_image(self.id, _image(file), key=name, step=step)
            self._pictures.add((name, step))


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A run that a launcher made, and what its processes must know to fill it."""

    id: str
    store: str

    def environment(self) -> dict[str, str]:
        """The same as environment variables."""
        return {"MLFLOW_RUN_ID": self.id, "MLFLOW_TRACKING_URI": self.store}


def launch(name: str, title: str, *, parent: str, tags: Mapping[str, str]) -> Launched:
    """A run in the experiment ``name`` that is under way, below the run ``parent`` where that is not empty."""
    mlflow, client = connected()
    below = {"mlflow.parentRunId": parent} if parent else {}
    run = client.create_run(experiment_id(mlflow, client, name), run_name=title, tags={**tags, **_source(), **below})
    return Launched(id=run.info.run_id, store=mlflow.get_tracking_uri())


def conclude(run: Launched, status: str, *, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
    """End ``run`` as FINISHED, FAILED or KILLED, with what came of it."""
    client = connected(run.store)[1]
    filled = _Run(client, run.id)
    filled.log([(name, 0, value) for name, value in numbers.items()])
    for file in files:
        client.log_artifact(run.id, str(file))
    client.set_terminated(run.id, status)


CURVES = ("loss", "rate", "heldout_loss", "prior_loss")


def numbers_of(point: Point) -> dict[str, float]:
    """What a point of the training's curves shows: before the first step there is neither loss nor rate."""
    values = {name: getattr(point, name) for name in CURVES if point.step or name not in {"loss", "rate"}}
    return {f"curve/{name}": value for name, value in values.items() if value is not None}


def _live(client: Any, where: str, training: str) -> str | None:
    """The run that showed ``training`` while it ran and is no result yet, or the one that the launcher made."""
    if given := os.environ.get("MLFLOW_RUN_ID"):
        return None if RESULT in client.get_run(given).data.tags else given
    found = client.search_runs([where], f"tags.`{TRAINING}` = '{training}'") if training else []
    return next((str(run.info.run_id) for run in found if RESULT not in run.data.tags), None)


def experiment() -> str | None:
    """The experiment that ``track`` will write to; None where there is no pipeline around."""
    file = root() / "params.yaml"
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

    It tries again for as long as the training runs when the store is away or locked.
    """
    parent = os.getppid()
    mlflow, client = connected()
    run: _Run | None = None
    waiting: list[dict[str, Any]] = []
    for lines in _tail(spool):
        waiting += lines
        orphan = os.getppid() != parent
        if orphan:
            waiting.append({"ended": "KILLED"})
        try:
            run = run or _opened(mlflow, client, name, training)
            if run is not None:
                _carry(client, run, waiting)
        except (mlflow.MlflowException, OSError):
            if orphan:
                return
            continue
        if run is None or any("ended" in line for line in waiting):
            return
        waiting.clear()


def _opened(mlflow: Any, client: Any, name: str, training: str) -> _Run | None:
    where = experiment_id(mlflow, client, name)
    found = client.search_runs([where], f"tags.`{TRAINING}` = '{training}'")
    if any(RESULT in each.data.tags for each in found):
        return None
    run = _Run(client, _live(client, where, training) or client.create_run(where).info.run_id)
    run.begin({TRAINING: training, **_source()})
    return run


def _carry(client: Any, run: _Run, lines: Sequence[Mapping[str, Any]]) -> None:
    numbers = [(name, line["step"], value) for line in lines for name, value in line.get("numbers", {}).items()]
    run.log(numbers)
    for line in lines:
        for name, file in line.get("pictures", {}).items():
            run.log_picture(name, line["step"], Path(file))
        if "ended" in line and "MLFLOW_RUN_ID" not in os.environ:  # the launcher ends its own
            client.set_terminated(run.id, line["ended"])


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


def connected(store: str = "") -> tuple[Any, Any]:
    """MLflow and a client of ``store``, or else of the one that is configured, which is made if need be."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)

    uri = store or os.environ.get("MLFLOW_TRACKING_URI") or own_store()
    if uri == own_store():
        _made(mlflow, root() / "mlflow.db")
    mlflow.set_tracking_uri(uri)
    return mlflow, mlflow.MlflowClient()


def _made(mlflow: Any, file: Path) -> None:
    """Make the data base once: MLflow's own making is not safe in parallel, and half done when it is killed."""
    from filelock import FileLock

    with FileLock(file.with_suffix(".lock")):
        if file.is_file():
            return
        fresh = file.with_suffix(f".{os.getpid()}.tmp")
        mlflow.set_tracking_uri(f"sqlite:///{fresh}")
        mlflow.MlflowClient().search_experiments()
        fresh.replace(file)


def own_store() -> str:
    """The address of the project's own store."""
    return f"sqlite:///{root() / 'mlflow.db'}"


def root() -> Path:
    """The project's folder: DVC names it, also in the temporary copies of ``dvc exp run --temp``."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def experiment_id(mlflow: Any, client: Any, name: str) -> str:
    """The id of the experiment ``name``, which is made if need be."""
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    local = mlflow.get_tracking_uri() == own_store()  # the environment would not tell: MLflow has set it meanwhile
    place = (root() / "mlartifacts").as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=place, tags=KIND))
    except mlflow.MlflowException:  # another process was quicker
        return str(client.get_experiment_by_name(name).experiment_id)


def _log_numbers(run: _Run, lock: Lock, logged: Logged) -> None:
    numbers = [(name, 0, value) for name, value in sorted(logged.metrics.items())]
    run.log(numbers + [(name, step, value) for name, curve in logged.curves.items() for step, value in curve])
    run.describe(lock.params)


def _log_datasets(client: Any, run_id: str, lock: Lock, paths: Sequence[str]) -> None:
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    inputs = []
    for path in paths:
        source = HTTPDatasetSource(f"https://dvc.invalid/{path}")  # .invalid: the digest names it, DVC brings it
        dataset = MetaDataset(source, name=path, digest=lock.outs[path].replace(".dir", ""))
        entity = dataset._to_mlflow_entity()  # noqa: SLF001 - the only way to log without an active run
        inputs.append(DatasetInput(entity, [InputTag("mlflow.data.context", "training")]))
    client.log_inputs(run_id, inputs)


def provenance(lock: Lock) -> dict[str, str]:
    """The tags that say where ``lock`` stood: its digest, and commit and state of the repository."""
    return {"dvc.lock": lock.digest, **_source()}


def _source() -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    tags = {"mlflow.source.name": "dvc repro", "mlflow.source.type": "LOCAL"}
    if commit:
        tags |= {
            "mlflow.source.git.commit": commit,
            "git.commit": commit,
            "git.dirty": str(bool(_git("status", "--porcelain", "-uno"))),
        }
    return tags


def _git(*arguments: str) -> str:
    """What git answers; empty without git or a repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root(), capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _image(file: Path) -> Any:
    from PIL import Image

    return Image.open(file)


def _flat(values: Any, at: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _flat(value, f"{at}.{key}" if at else str(key))
    else:
        yield at, str(values)
