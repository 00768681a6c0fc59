"""MLflow, and nothing else imports it. It is a log and never an input: what a stage needs lies in files.

A result is named by the digest of its entries in dvc.lock, so that what DVC restores from its cache still shows against
the right run, once. The store is ``MLFLOW_TRACKING_URI`` or else ``mlflow.db`` beside dvc.yaml.
"""

import hashlib
import json
import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import TableError

RESULT = "darkroom.result"
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
    datasets: Sequence[str]  # outputs whose digests are data sets of the run


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

    A run that was broken off is removed and written anew.
    """
    mlflow, client = _connected()
    where = _experiment(mlflow, client, experiment)
    for run in client.search_runs([where], f"tags.`{RESULT}` = '{lock.result}'"):
        if run.info.status == "FINISHED":
            return False
        client.delete_run(run.info.run_id)
    run_id = client.create_run(where, tags={RESULT: lock.result, **_provenance(lock)}).info.run_id
    _log_numbers(client, run_id, lock, logged)
    _log_datasets(client, run_id, lock, logged.datasets)
    for file in logged.files:
        client.log_artifact(run_id, str(file))
    for name, file in logged.pictures.items():
        client.log_artifact(run_id, str(file), "pictures")
        client.log_image(run_id, _image(file), key=name, step=0)
    client.set_terminated(run_id)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A model version to be."""

    name: str
    alias: str  # moves to this version; empty: none does
    code: Path  # models-from-code: the file is the model, nothing is pickled
    artifacts: Mapping[str, Path]
    config: Mapping[str, Any]
    card: str  # Markdown
    data: Sequence[str]  # outputs whose digests the version is tagged with
    tags: Mapping[str, str]  # what else it is tagged with; a version of the same result with other tags is another one


def register(lock: Lock, experiment: str, wanted: Registration) -> bool:
    """Register ``wanted`` under the run of ``lock.result``, unless it is registered already; says whether it did.

    What is registered already gets the card of today: consents may have been taken back since.

    Raises:
        TableError: when there is no run of that result.
    """
    mlflow, client = _connected()
    own = {RESULT: lock.result, **wanted.tags}
    for version in client.search_model_versions(f"name='{wanted.name}'"):
        if own.items() <= version.tags.items():
            if version.description != wanted.card:
                client.update_model_version(wanted.name, version.version, description=wanted.card)
            return False
    where = _experiment(mlflow, client, experiment)
    runs = client.search_runs([where], f"tags.`{RESULT}` = '{lock.result}'")
    if not runs:
        raise TableError(f"MLflow has no run of result {lock.result}; `dvc repro -f -s track` writes it again")
    tags = {**own, **_provenance(lock), **{f"data.{path}": lock.outs[path] for path in wanted.data}}
    with _active(mlflow, runs[0].info.run_id):
        model = _log_model(mlflow, wanted)
    version = mlflow.register_model(model.model_uri, wanted.name, tags=tags)
    client.update_model_version(wanted.name, version.version, description=wanted.card)
    if wanted.alias:
        client.set_registered_model_alias(wanted.name, wanted.alias, version.version)
    return True


def _connected() -> tuple[Any, Any]:
    """MLflow and a client of the store, which is made if need be."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)

    uri = os.environ.get("MLFLOW_TRACKING_URI") or _own_store()
    if uri == _own_store():
        _made(mlflow, _root() / "mlflow.db")
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


def _own_store() -> str:
    return f"sqlite:///{_root() / 'mlflow.db'}"


def _root() -> Path:
    """The project's folder: DVC names it, also in the temporary copies of ``dvc exp run --temp``."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def _experiment(mlflow: Any, client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found:
        return str(found.experiment_id)
    local = mlflow.get_tracking_uri() == _own_store()  # the environment would not tell: MLflow has set it meanwhile
    place = (_root() / "mlartifacts").as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except mlflow.MlflowException:  # another process was quicker
        return str(client.get_experiment_by_name(name).experiment_id)


def _log_numbers(client: Any, run_id: str, lock: Lock, logged: Logged) -> None:
    from mlflow.entities import Metric, Param

    metrics = [Metric(name, float(value), 0, 0) for name, value in sorted(logged.metrics.items())]
    metrics += [Metric(name, value, 0, step) for name, curve in logged.curves.items() for step, value in curve]
    params = [Param(name, value[:6000]) for name, value in sorted(lock.params.items())]  # MLflow's limit
    for start in range(0, len(metrics), 1000):  # and of one batch
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])


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


def _log_model(mlflow: Any, wanted: Registration) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "prompt")]),
        outputs=Schema([ColSpec("string", "png_base64")]),
        params=ParamSchema([ParamSpec("seed", "long", 0)]),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input example was not provided")  # the signature is ours
        return mlflow.pyfunc.log_model(
            name="adapter",
            python_model=str(wanted.code),
            artifacts={name: str(path) for name, path in wanted.artifacts.items()},
            model_config=dict(wanted.config),
            signature=signature,
            pip_requirements=["darkroom"],
        )


@contextmanager
def _active(mlflow: Any, run_id: str) -> Iterator[None]:
    with mlflow.start_run(run_id=run_id):
        yield


def _provenance(lock: Lock) -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    tags = {"dvc.lock": lock.digest, "mlflow.source.name": "dvc repro", "mlflow.source.type": "LOCAL"}
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
        done = subprocess.run(["git", *arguments], cwd=_root(), capture_output=True, text=True, check=False)  # noqa: S603, S607
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
