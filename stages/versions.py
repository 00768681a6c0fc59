"""Registered model versions in MLflow: made once for each result, read, described, and one of them champion.

A version brings the tables that it was judged by, so that a later one can be compared with it.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from stages import tables, tracking
from stages.errors import TableError

Row = TypeVar("Row", bound=tables.Keyed)
CANDIDATE, CHAMPION = "candidate", "champion"  # aliases: the newest that is sound, and the one to use
PROMOTED = "promoted"  # the tag of a version that is or was champion, with the reason
SECTION = "\n## The gate\n"  # of a version's description, behind its card


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A model version to be."""

    name: str
    candidate: bool  # whether the alias moves to it
    code: Path  # models-from-code: the file is the model, nothing is pickled
    artifacts: Mapping[str, Path]
    config: Mapping[str, Any]
    card: str  # Markdown
    data: Sequence[str]  # outputs whose digests the version is tagged with
    tags: Mapping[str, str]  # what else it is tagged with; a version of the same result with other tags is another one
    scores: Mapping[str, str]  # tags, too, that make no other version


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that is registered."""

    name: str
    number: int
    aliases: frozenset[str]
    created: date  # UTC
    tags: Mapping[str, str]
    description: str  # the card, and what the gate said
    run: str  # the id of its run


@tracking.asked()
def register(lock: tracking.Lock, experiment: str, wanted: Registration) -> int:
    """Register ``wanted`` under the run of ``lock.result``, unless it is registered already; its number.

    What is registered already gets the card of today: consents may have been taken back since.

    Raises:
        TableError: when there is no run of that result.
        TrackingError: when MLflow does not answer.
    """
    mlflow, client = tracking.connected()
    own = {tracking.RESULT: lock.result, **wanted.tags}
    for version in client.search_model_versions(f"name='{wanted.name}'"):
        if own.items() <= version.tags.items():
            _renew(client, version, wanted.card)
            return int(version.version)
    where = tracking.experiment_id(mlflow, client, experiment)
    runs = client.search_runs([where], f"tags.`{tracking.RESULT}` = '{lock.result}'")
    if not runs:
        raise TableError(f"MLflow has no run of result {lock.result}; `dvc repro -f -s track` writes it again")
    tags = {**own, **wanted.scores, **tracking.provenance(lock)}
    tags |= {f"data.{path}": lock.outs[path] for path in wanted.data}
    with mlflow.start_run(run_id=runs[0].info.run_id):
        model = _log_model(mlflow, wanted)
    version = mlflow.register_model(model.model_uri, wanted.name, tags=tags)
    client.update_model_version(wanted.name, version.version, description=wanted.card)
    if wanted.candidate:
        client.set_registered_model_alias(wanted.name, CANDIDATE, version.version)
    return int(version.version)


@tracking.asked()
def every(name: str) -> list[Version]:
    """The versions of the model ``name`` in their order; none where it is not registered.

    Raises:
        TrackingError: when MLflow does not answer.
    """
    mlflow, client = tracking.connected()
    try:
        aliases = client.get_registered_model(name).aliases
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    found = [_version(each, aliases) for each in client.search_model_versions(f"name='{name}'")]
    return sorted(found, key=lambda each: each.number)


def get(name: str, number: int) -> Version:
    """The version ``number`` of the model ``name``.

    Raises:
        TableError: when there is none; it names those that are there.
    """
    found = {version.number: version for version in every(name)}
    if number not in found:
        known = ", ".join(map(str, found)) or "none yet"
        raise TableError(f"{name}: has no version {number}; there are: {known}")
    return found[number]


def champion(name: str) -> Version | None:
    """The version of the model ``name`` that is champion, if one is."""
    return next((version for version in every(name) if CHAMPION in version.aliases), None)


def rows(version: Version, row: type[Row]) -> list[Row]:
    """The table ``row`` that ``version`` was registered with; empty where it was without, or its files are not there."""
    mlflow, client = tracking.connected()
    place = client.get_model_version_download_uri(version.name, str(version.number))
    file = tables.path(Path("artifacts"), row)
    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=f"{_place(client, place)}/{file.as_posix()}")
    except (mlflow.MlflowException, OSError):  # MLflow says of what is missing what its store says
        return []
    return tables.read(Path(found).parent, row)


def parameters(version: Version) -> dict[str, str]:
    """The parameters of the run behind ``version``; none where somebody removed it."""
    mlflow, client = tracking.connected()
    try:
        return dict(client.get_run(version.run).data.params)
    except mlflow.MlflowException:
        return {}


def describe(version: Version, tags: Mapping[str, str], text: str) -> None:
    """Tag ``version`` with ``tags`` and write ``text`` under its card, in place of what stood there."""
    _, client = tracking.connected()
    for name, value in tags.items():
        client.set_model_version_tag(version.name, str(version.number), name, value)
    card, _, _ = version.description.partition(SECTION)
    client.update_model_version(version.name, str(version.number), description=f"{card}{SECTION}\n{text}\n")


def crown(version: Version, reason: str) -> None:
    """Make ``version`` champion, for ``reason``; it is no candidate any more."""
    _, client = tracking.connected()
    client.set_model_version_tag(version.name, str(version.number), PROMOTED, reason)
    client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
    if CANDIDATE in version.aliases:
        client.delete_registered_model_alias(version.name, CANDIDATE)


def _renew(client: Any, version: Any, card: str) -> None:
    """Give ``version`` the ``card`` of today; what the gate said of it stays."""
    old, section, said = (version.description or "").partition(SECTION)
    if old != card:
        client.update_model_version(version.name, version.version, description=f"{card}{section}{said}")


def _version(found: Any, aliases: Mapping[str, str]) -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        aliases=frozenset(alias for alias, number in aliases.items() if int(number) == int(found.version)),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).date(),
        tags=found.tags,
        description=found.description or "",
        run=found.run_id or "",
    )


def _place(client: Any, address: str) -> str:
    """Where the files behind ``address`` lie: of a logged model, where its own entry says."""
    id = address.removeprefix("models:/")
    return address if id == address else str(client.get_logged_model(id).artifact_location)


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
