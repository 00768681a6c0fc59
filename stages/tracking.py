"""MLflow, and nothing else imports it. It is a log, never an input: what a stage needs lies in files.

A result is named by the digest of its entries in dvc.lock, so that what DVC restores from its cache still shows against
the right run, once. The store is ``MLFLOW_TRACKING_URI`` or else ``mlflow.db`` beside dvc.yaml.
"""

import hashlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.errors import TableError, TrackingError

log = logging.getLogger(__name__)

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


@contextmanager
def asked() -> Iterator[None]:
    """Ask MLflow for something: what it cannot do becomes an error that says what to do.

    Raises:
        TrackingError: when it does not answer, or refuses.
    """
    mlflow = _library()
    import requests
    import sqlalchemy

    try:
        yield
    except (mlflow.MlflowException, requests.RequestException, sqlalchemy.exc.OperationalError) as error:
        secret, _, _ = urlsplit(mlflow.get_tracking_uri()).netloc.rpartition("@")
        said = next(iter(str(error).splitlines()), type(error).__name__)
        said = "does not answer" if "Max retries exceeded" in said else said[:300]
        where, why = (text.replace(f"{secret}@", "") if secret else text for text in (mlflow.get_tracking_uri(), said))
        raise TrackingError(
            f"MLflow at {where}: {why}; nothing that was computed is lost: start it, or set MLFLOW_TRACKING_URI "
            "to another, and run the same again"
        ) from error


@asked()
def log_result(lock: Lock, experiment: str, logged: Logged) -> bool:
    """Write one finished run for ``lock.result``, unless there is one already; says whether it wrote.

    A run that was broken off is removed and written anew. One that showed the training while it ran is completed. A run
    that the launcher made is filled, whatever other runs there are of that result.

    Raises:
        TrackingError: when MLflow does not answer.
    """
    mlflow, client = connected()
    where = experiment_id(mlflow, client, experiment)
    alike = [] if _given(client) else client.search_runs([where], f"tags.`{RESULT}` = '{lock.result}'")
    for run in alike:
        if run.info.status == "FINISHED":
            return False
        client.delete_run(run.info.run_id)
    run = Run(client, _live(client, where, logged.training, lock.result) or client.create_run(where).info.run_id)
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


class Run:
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

    def end(self, status: str) -> None:
        """Close it as ``status``, unless the launcher made it, which ends its own."""
        if self.id != os.environ.get("MLFLOW_RUN_ID"):
            self._client.set_terminated(self.id, status)

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


@asked()
def launch(name: str, title: str, *, only: tuple[str, str], parent: str) -> Launched:
    """The run in the experiment ``name`` that has the tag ``only``, made if need be and under way again.

    It stands below the run ``parent`` where that is not empty. Whoever starts again finds the run of the first start; one
    that was deleted is made anew.

    Raises:
        TrackingError: when MLflow does not answer.
    """
    mlflow, client = connected()
    where, tags = experiment_id(mlflow, client, name), dict([only], **_source())
    if parent:
        tags["mlflow.parentRunId"] = parent
    found = client.search_runs([where], f"tags.`{only[0]}` = '{only[1]}'")
    run = found[0] if found else client.create_run(where, run_name=title)
    for tag, value in tags.items():
        client.set_tag(run.info.run_id, tag, value)
    client.update_run(run.info.run_id, status="RUNNING")
    return Launched(id=run.info.run_id, store=mlflow.get_tracking_uri())


@asked()
def conclude(run: Launched, status: str, *, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
    """End ``run`` as FINISHED, FAILED or KILLED, with what came of it.

    Raises:
        TrackingError: when MLflow does not answer, or the run was deleted meanwhile.
    """
    client = connected(run.store)[1]
    filled = Run(client, run.id)
    filled.log([(name, 0, value) for name, value in numbers.items()])
    for file in files:
        client.log_artifact(run.id, str(file))
    client.set_terminated(run.id, status)


@asked()
def shown(name: str, training: str) -> "Run | None":
    """The run in the experiment ``name`` that shows ``training`` while it runs; None where its result stands already.

    Raises:
        TrackingError: when MLflow does not answer.
    """
    mlflow, client = connected()
    where = experiment_id(mlflow, client, name)
    found = client.search_runs([where], f"tags.`{TRAINING}` = '{training}'")
    if any(RESULT in each.data.tags for each in found):
        return None
    run = Run(client, _live(client, where, training) or client.create_run(where).info.run_id)
    run.begin({TRAINING: training, **_source()})
    return run


def _live(client: Any, where: str, training: str, result: str = "") -> str | None:
    """The run that showed ``training`` while it ran and is no result yet, or the one that the launcher made.

    A launched run that shows ``result`` in part, since its job was killed, is taken up again.
    """
    if given := _given(client):
        return str(given.info.run_id) if given.data.tags.get(RESULT, result) == result else None
    found = client.search_runs([where], f"tags.`{TRAINING}` = '{training}'") if training else []
    return next((str(run.info.run_id) for run in found if RESULT not in run.data.tags), None)


def _given(client: Any) -> Any:
    """The run that the launcher made; None without one, and where somebody has deleted it since."""
    id = os.environ.get("MLFLOW_RUN_ID")
    run = client.get_run(id) if id else None
    if run is not None and run.info.lifecycle_stage != "active":
        log.warning("MLflow: the run %s was deleted; this is shown by a run of its own", id)
        return None
    return run


@asked()
def connected(at: str = "") -> tuple[Any, Any]:
    """MLflow and a client of the store ``at``, or else of the one that is configured, which is made if need be.

    Raises:
        TrackingError: when there can be no such store; whether it answers shows later.
    """
    mlflow = _library()
    uri = at or store()
    if uri == own_store():
        _made(mlflow, root() / "mlflow.db")
    mlflow.set_tracking_uri(uri)
    return mlflow, mlflow.MlflowClient()


def _library() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # its own 7 take four minutes
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it tells of each try
    return mlflow


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


def store() -> str:
    """The address of the store that is configured."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_store()


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


def _log_numbers(run: Run, lock: Lock, logged: Logged) -> None:
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
