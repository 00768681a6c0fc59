"""Tables as files: one JSON object a line, sorted by id, the same bytes for the same rows on every machine."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from stages.errors import TableError


class Keyed(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """What the table is sorted by; no two rows share it."""
        ...


Row = TypeVar("Row", bound=Keyed)


def path(folder: Path, row: type[Keyed]) -> Path:
    """Where the table of ``row`` lies in ``folder``: ``Verdict`` is ``verdict.jsonl``."""
    return folder / f"{row.__name__.lower()}.jsonl"


def read(folder: Path, row: type[Row]) -> list[Row]:
    """The rows of the table ``row`` in ``folder``, in the order of their ids.

    Raises:
        TableError: with file and line, when the table is missing or a line is not a ``row``.
    """
    file, adapter = path(folder, row), _adapter(row)
    rows: list[Row] = []
    if not file.is_file():
        raise TableError(f"{file}: there is no such table; `dvc repro` makes it")
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            rows.append(adapter.validate_json(line, strict=True))
        except ValidationError as error:
            fault = error.errors()[0]
            raise TableError(f"{file}:{number}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return rows


def by_id(folder: Path, row: type[Row]) -> dict[str, Row]:
    """The rows of the table ``row`` in ``folder``, by their ids."""
    return {each.id: each for each in read(folder, row)}


def write(folder: Path, row: type[Row], rows: Iterable[Row]) -> None:
    """Put ``rows`` into the table ``row`` of ``folder``, replacing it.

    Raises:
        TableError: when two rows have the same id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rows, key=lambda each: each.id)
    for one, next_one in pairwise(ordered):
        if one.id == next_one.id:
            raise TableError(f"{path(folder, row)}: two rows have the id {one.id}; ids must differ")
    replace(path(folder, row), b"".join(_adapter(row).dump_json(each) + b"\n" for each in ordered))


def replace(file: Path, content: bytes) -> None:
    """Write ``content`` under a temporary name and rename it, so that ``file`` is never half written."""
    with replacing(file) as stream:
        stream.write(content)


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """What is written to the stream becomes ``file`` when the block ends well, and else leaves no trace."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _adapter(row: Any) -> TypeAdapter[Any]:
    return TypeAdapter(row)
