"""From a section of ``params.yaml`` to a frozen, checked dataclass."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stages.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")
_LONGEST = 60  # letters of a wrong value that are shown


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, keyword-only dataclass that refuses unknown keys and values of another type.

    Give its fields no defaults: values live in ``conf/``, types live here.
    """
    return dataclass(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid", strict=True))(cls)  # type: ignore[return-value]


def load(path: Path, section: str, schema: type[T]) -> T:
    """The ``section`` of the YAML file at ``path`` as a ``schema``.

    Raises:
        ConfigError: when there is no such file or section, it is no YAML, or naming every value at fault, not only the first.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; `python -m stages.params` composes it from conf/")
    try:
        values = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: no YAML ({error}); `python -m stages.params` composes it from conf/") from None
    if not isinstance(values, dict) or section not in values:
        raise ConfigError(f"{path}: no section {section!r}; `python -m stages.params` composes the file from conf/")
    return check(values[section], schema, where=f"{path}: {section}")


def check(values: Mapping[str, Any], schema: type[T], *, where: str) -> T:
    """``values`` as a ``schema``; ``where`` opens the message of the error.

    Raises:
        ConfigError: one line for every value at fault.
    """
    try:
        return _checked(values, schema)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in _lines(error))
        raise ConfigError(f"{where}: values that do not fit (edit conf/, not params.yaml)\n{lines}") from None


def faults(values: Mapping[str, Any], schema: type[Any], *, at: str) -> list[str]:
    """A line for each of ``values`` that does not fit the ``schema``, its place behind ``at``; none when all fit."""
    try:
        _checked(values, schema)
    except ValidationError as error:
        return [f"{at}.{line}" for line in _lines(error)]
    return []


def _checked(values: Mapping[str, Any], schema: type[T]) -> T:
    return TypeAdapter(schema).validate_json(json.dumps(values, default=str))  # YAML makes dates of text


def _lines(error: ValidationError) -> list[str]:
    return [f"{_place(each['loc'])}: {_message(each)}" for each in error.errors()]


def _message(fault: "ErrorDetails") -> str:
    if fault["type"] == "unexpected_keyword_argument":
        return "there is no such setting"
    if fault["type"] == "missing":
        return "is missing"
    value = repr(fault["input"])
    return f"{fault['msg']}, not {value if len(value) <= _LONGEST else value[:_LONGEST] + '…'}"


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the section"
