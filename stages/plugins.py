"""Parts that are chosen by name. The name is the file: ``page`` is ``captioners/page.py``.

Such a file holds two names: ``Config``, its settings, and ``build(config)``, which makes the part.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from stages import config
from stages.errors import ConfigError


def names(package: str) -> list[str]:
    """The parts that ``package`` holds, found without importing them."""
    return sorted(module.name for module in iter_modules(import_module(package).__path__))


def build(package: str, choice: Mapping[str, Any]) -> Any:
    """The part of ``package`` that ``choice["name"]`` names, built from the other keys of ``choice``.

    Raises:
        ConfigError: when there is no such part, or the keys do not fit its ``Config``.
    """
    name = choice.get("name")
    if name not in names(package):
        raise ConfigError(f"{package}: there is no part {name!r}; it has: {', '.join(names(package))}")
    part = import_module(f"{package}.{name}")
    values = {key: value for key, value in choice.items() if key != "name"}
    return part.build(config.check(values, part.Config, where=f"{package}.{name}"))
