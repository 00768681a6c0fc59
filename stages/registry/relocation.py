"""The addresses of files in ``mlflow.db``, which MLflow writes whole, put right where the project lies now.

They stand in four columns: https://github.com/mlflow/mlflow/issues/3144. What lies outside the project's own folders of
artifacts is left alone.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stages.errors import TableError

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
FOLDERS = ("mlartifacts", "mlruns")  # beside mlflow.db


@dataclass(frozen=True, slots=True)
class Change:
    """That addresses of one column begin otherwise."""

    table: str
    column: str
    old: str  # the project's address before, as it is written there
    new: str
    count: int


def changes(store: Path, root: Path) -> list[Change]:
    """What has to change in ``store`` for a project that now lies in ``root``; nothing when all is right.

    Raises:
        TableError: when there is no store, or it is none.
    """
    if not store.is_file():
        raise TableError(f"{store}: there is no such file; run it in the project's folder")
    found = []
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as base:
        for table, column in COLUMNS:
            counts = Counter(filter(None, (_home(address) for address in _addresses(base, store, table, column))))
            pairs = [(old, _like(old, root), count) for old, count in sorted(counts.items())]
            found += [Change(table, column, old, new, count) for old, new, count in pairs if old != new]
    return found


def apply(store: Path, found: Sequence[Change]) -> Path:
    """Write ``found`` into ``store``, all or nothing; the copy of it as it was before."""
    backup = _free(store)
    with closing(sqlite3.connect(store)) as base:
        with closing(sqlite3.connect(backup)) as copy:
            base.backup(copy)
        with base:
            for each in found:
                _move(base, each)
    return backup


def _addresses(base: sqlite3.Connection, store: Path, table: str, column: str) -> list[str]:
    try:
        rows = base.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()  # noqa: S608
    except sqlite3.DatabaseError as error:
        raise TableError(f"{store}: is no data base of MLflow 3 ({error})") from None
    return [str(address) for (address,) in rows]


def _move(base: sqlite3.Connection, change: Change) -> None:
    column, old = change.column, change.old
    for folder in FOLDERS:
        start = f"{old}/{folder}"
        base.execute(
            f"UPDATE {change.table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - names of ``COLUMNS``
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (change.new, len(old) + 1, start, len(start) + 1, f"{start}/"),
        )


def _home(address: str) -> str:
    """The address of the project that wrote ``address``; empty for what lies nowhere in a project's folders."""
    if urlsplit(address).scheme not in {"", "file"}:
        return ""
    parts = address.split("/")
    places = [number for number, part in enumerate(parts) if part in FOLDERS]
    return "/".join(parts[: places[-1]]) if places else ""


def _like(old: str, root: Path) -> str:
    """The address of ``root``, written as ``old`` is, or ``old`` where that is the same place."""
    if not old.startswith("file:"):
        return str(root)
    return old if unquote(urlsplit(old).path) == str(root) else root.as_uri()


def _free(store: Path) -> Path:
    """A name for a backup beside ``store`` that no file has."""
    number = 1
    while (file := store.with_name(f"mlflow.db.{number}.backup")).exists():
        number += 1
    return file
