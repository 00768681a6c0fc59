"""What a sweep is asked for, and whether it can be done: better said now than by a job in the middle of the night."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import params, schemas
from stages.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def check(project: Path, arguments: Sequence[str]) -> None:
    """See that every value that ``arguments``, as given to Hydra, will try fits the stage of ``project`` that reads it.

    Every value of every parameter is composed once, not every combination. Of an interval these are its ends.

    Raises:
        ConfigError: naming the parameter that does not exist, or every value that does not fit.
    """
    own = [each for each in arguments if not each.startswith("-") and _of_hydra(each)]
    given = [each for each in arguments if not each.startswith("-") and not _of_hydra(each)]
    tried = _tried(given)
    values, more = _settings(own, [each[0] for each in tried])
    objectives(values)
    tried += _tried(more)
    for number in range(max(map(len, tried), default=0)):
        composed = params.composed([each[min(number, len(each) - 1)] for each in tried])
        if (project / "stages").is_dir():
            params.checked(composed)


def objectives(values: Mapping[str, Any]) -> None:
    """See that ``values``, the section ``sweep``, name numbers that a stage could report.

    Raises:
        ConfigError: when they do not.
    """
    names, directions = list(values["objectives"]), list(values["directions"])
    if not names or len(names) != len(directions) or set(directions) - {"minimize", "maximize"}:
        raise ConfigError(
            f"sweep: objectives {names} with directions {directions}; give each objective minimize or maximize"
        )
    for name in names:
        if name.partition("/")[0] not in schemas.stages():
            raise ConfigError(
                f"sweep.objectives: {name!r} names no stage; write STAGE/NAME, a number of data/reports/STAGE.json, "
                "such as evaluate/heldout_loss/delta"
            )


def _settings(own: Sequence[str], overrides: Sequence[str]) -> tuple[Mapping[str, Any], list[str]]:
    """The section ``sweep``, and the overrides of the space that a file of conf/sweep adds."""
    from hydra import compose
    from omegaconf import OmegaConf

    params.composed(overrides)  # says better than Hydra what is wrong
    with _hydra():
        composed = compose("config", overrides=[*own, *overrides], return_hydra_config=True)
        space = OmegaConf.to_container(composed.hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
        values: Any = OmegaConf.to_container(composed.sweep, resolve=True)
    return values, [f"{name}={value}" for name, value in space.items()]


def _tried(lines: Sequence[str]) -> list[list[str]]:
    """Each of ``lines``, overrides as Hydra takes them, with each of its values as one would give it alone."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with _hydra():
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        return [list(_values(override)) for override in parser.parse_overrides(list(lines))]


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra at the project's conf/, its errors as ours."""
    from hydra import initialize_config_dir
    from hydra.errors import HydraException

    try:
        with initialize_config_dir(str(params.conf()), version_base="1.3"):
            yield
    except HydraException as error:
        raise ConfigError(str(error)) from None


def _values(override: "Override") -> Iterator[str]:
    from hydra.core.override_parser.types import IntervalSweep

    line, value = override.input_line or "", override.value()
    name = line.partition("=")[0]
    if not override.is_sweep_override():
        yield line
    elif isinstance(value, IntervalSweep):
        yield from (f"{name}={end}" for end in (value.start, value.end))
    else:
        yield from (f"{name}={each}" for each in override.sweep_string_iterator())


def _of_hydra(line: str) -> bool:
    return line.lstrip("+~").startswith(("hydra.", "hydra/"))


def unwritten(names: Sequence[str], numbers: Mapping[str, float]) -> str:
    """What to say where a finished job reported ``numbers`` and not all of ``names``; empty where it did."""
    missing = [name for name in names if name not in numbers]
    if not missing:
        return ""
    stages = {name.partition("/")[0] for name in missing}
    there = [name for name in sorted(numbers) if name.partition("/")[0] in stages]
    return (
        f"sweep.objectives: no stage wrote {', '.join(missing)}; there are: {', '.join(there) or 'none of that stage'}. "
        "Start it with sweep.objectives=[…]: what was computed is not computed again"
    )
