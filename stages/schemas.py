"""The schema of every section of params.yaml, and what in its values does not fit.

A section is read by the stage of its name, and a mapping with a ``name`` in it by the part that it chooses: both are
found by that name, as ``stages.clean.stage`` and ``stages.caption.captioners.page``, so that a new one need not be listed
here. Only what a stage imports when it starts is imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from stages import config, plugins

UNREAD = ("family", "sweep")  # sections that no stage reads; what stages take of a family shows in their own
STAMP = "_compose_"  # see ``stages.params``
FOLDER = Path(__file__).parent
FAMILIES = "families"


def faults(values: Mapping[str, Any]) -> list[str]:
    """A line for each value that its stage or part would refuse: *where: what would be right, not what it is*."""
    found = [f"{name}: no stage reads this section" for name in values if name not in (*stages(), *UNREAD, STAMP)]
    for stage in stages():
        found += _of_section(stage, values[stage]) if stage in values else [f"{stage}: the section is missing"]
    return found


def stages() -> list[str]:
    """The packages that hold a stage, in the order of their names."""
    return [name for name in plugins.names("stages") if (FOLDER / name / "stage.py").is_file()]


def choices(
    section: Mapping[str, Any], keys: Sequence[str] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The keys that lead to it, and the choice, for each mapping with a name inside ``section``."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            if isinstance(value.get("name"), str):
                yield (*keys, key), value
            yield from choices(value, (*keys, key))


def package_of(stage: str, keys: Sequence[str], part: str) -> str | None:
    """``caption``, ``captioner``: stages.caption.captioners. A detector is of no single stage: stages.detectors.

    Of several the first that holds ``part``: a source may be named as a package is. ``None`` when there is none.
    """
    names = [
        name for key in reversed(keys) for name in (f"stages.{stage}.{key}s", f"stages.{stage}.{key}", f"stages.{key}s")
    ]
    there = [name for name in names if (FOLDER.parent / name.replace(".", "/") / "__init__.py").is_file()]
    return next((name for name in there if part in plugins.names(name)), there[0] if there else None)


def _of_section(stage: str, section: Any) -> Iterator[str]:
    yield from config.faults(section, import_module(f"stages.{stage}.stage").Config, at=stage)
    if isinstance(section, Mapping):
        family = section.get("family")
        if isinstance(family, str) and family not in plugins.names(f"stages.{FAMILIES}"):
            yield _unknown(f"{stage}.family", family, f"stages.{FAMILIES}")
        for keys, choice in choices(section):
            yield from _of_choice(stage, keys, choice)


def _of_choice(stage: str, keys: Sequence[str], choice: Mapping[str, Any]) -> Iterator[str]:
    name, at = choice["name"], ".".join((stage, *keys))
    package = package_of(stage, keys, name)
    if package is None:
        return
    if name not in plugins.names(package):
        yield _unknown(f"{at}.name", name, package)
        return
    given = {key: value for key, value in choice.items() if key != "name"}
    yield from config.faults(given, import_module(f"{package}.{name}").Config, at=at)


def _unknown(at: str, name: str, package: str) -> str:
    return f"{at}: there is no {name!r}; there are: {', '.join(plugins.names(package))}"
