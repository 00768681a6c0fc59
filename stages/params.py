"""``conf/`` to ``params.yaml``, which is what every stage reads.

    python -m stages.params [OVERRIDE …]   compose anew, as Hydra does
    python -m stages.params --stage        what the first stage of dvc.yaml does, see ``renewed``

``dvc repro`` never composes Hydra and ``dvc exp run`` always does. A stamp inside params.yaml makes both right: the
digest of ``conf/`` and the digest of all values, written by resolvers that DVC's own composition loads, too.
"""

import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from stages import machine, schemas, terminal
from stages.errors import ConfigError
from stages.schemas import STAMP
from stages.tables import replace

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).parent.parent  # of the clone that this package belongs to
ABSENT = "(not there)"  # in a line of differences
_NO_KEY = re.compile(r"Could not override '([\w.]+)'")  # as Hydra says it


def composed(overrides: Sequence[str] = ()) -> str:
    """The YAML that Hydra composes of ``conf/``, byte for byte what ``dvc exp run`` writes.

    Raises:
        ConfigError: when a group, an option, a key or an interpolation does not exist, or a file is no YAML.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if strange := unknown_options(overrides):
        raise ConfigError("\n".join(strange))
    stamp()
    try:
        with initialize_config_dir(str(conf()), version_base="1.3"):
            return resolved(compose("config", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        if overrides and (key := _NO_KEY.search(str(error))):
            raise ConfigError(_unknown_key(key[1])) from None
        raise ConfigError(f"conf/: {_first_lines(error)}") from None


def conf() -> Path:
    """``conf/`` of the working folder; outside of any project that of the clone which this package belongs to.

    The two differ where one environment serves several copies of a project, as with git's worktrees.
    """
    here = Path.cwd() / "conf"
    return here if (here / "config.yaml").is_file() else ROOT / "conf"


def resolved(values: "DictConfig") -> str:
    """The YAML of what Hydra composed, every interpolation filled in."""
    from omegaconf import OmegaConf

    OmegaConf.resolve(values)
    return OmegaConf.to_yaml(values)


def checked(text: str) -> str:
    """``text``, a params.yaml, when every value in it fits the stage and the part that will read it.

    Raises:
        ConfigError: naming every value at fault: better now than when its stage starts.
    """
    if faults := schemas.faults(_values(text)):
        lines = "".join(f"  {line}\n" for line in faults)
        raise ConfigError(
            f"params.yaml: values that do not fit\n{lines}"
            "Edit conf/ or give other overrides; `python -m stages.params` brings back the values of conf/"
        )
    return text


def unknown_options(overrides: Sequence[str]) -> list[str]:
    """A line for each option that ``overrides`` choose of a group and that the group does not have, with those it has.

    Hydra says so too, but over a dozen lines, of a list of options not which there are, and of an experiment without
    its plus only that nothing matches.
    """
    chosen = [override.partition("=") for override in overrides if not override.startswith("~")]
    groups = {file.parent.name for file in conf().glob("*/*.yaml")}
    faults = [_option_fault(key, value) for key, _, value in chosen if _group(key) in groups]
    return [fault for fault in faults if fault]


def _option_fault(key: str, value: str) -> str:
    group = _group(key)
    there = sorted(file.stem for file in (conf() / group).glob("*.yaml"))
    chosen_by_default = any(isinstance(each, dict) and group in each for each in _defaults())
    plus = "" if chosen_by_default or key.startswith("+") else f"; put a plus before it: +{group}={there[0]}"
    wanted = [] if "(" in value else [option.strip(" '\"") for option in value.strip("[] ").split(",")]  # not choice(…)
    for option in wanted:
        if option not in {*there, "null", ""}:
            return f"{key}={value}: there is no {group} {option!r}; there are: {', '.join(there)}{plus}"
    return f"{key}={value}: is not chosen by default{plus}" if plus else ""


def _group(key: str) -> str:
    return key.lstrip("+").partition("@")[0]


def _defaults() -> list[Any]:
    values = _values((conf() / "config.yaml").read_text(encoding="utf-8"))
    return list(values.get("defaults", []))


def _unknown_key(key: str) -> str:
    """That ``key`` is no setting, and which there are beside it as far as the way to it exists."""
    inner, at = _values(composed()), list[str]()
    for part in key.split("."):
        if not isinstance(inner.get(part), dict):
            break
        inner, at = inner[part], [*at, part]
    where = ".".join(at) or "conf/"
    return f"{key}: there is no such setting; {where} has: {', '.join(name for name in inner if name != STAMP)}"


def renewed(text: str | None) -> str:
    """What params.yaml should hold, given what it holds; ``None`` when there is no such file.

    Values that do not match their digest are an error: someone edited the file by hand. Where ``conf/`` is what it was,
    the values are kept, overrides and all; where it changed, they are composed anew.

    Raises:
        ConfigError: when the file cannot be read, or, with a diff against ``conf/``, was edited by hand.
    """
    if text is None or not text.strip():  # a full disk leaves it empty
        return composed()
    values = _values(text)
    if not values:
        raise ConfigError(
            "params.yaml: no values can be read, as in an unsettled merge; `python -m stages.params` makes it anew"
        )
    mark = values.get(STAMP)
    if not isinstance(mark, dict) or mark.get("values") != stamp().values_digest(values):
        diff = "\n".join(f"  {line}" for line in differences(_values(composed()), values))
        raise ConfigError(
            "params.yaml: it was edited by hand. Against what conf/ composes it says\n"
            f"{diff}\nPut that into conf/, or give it as an override: `dvc exp run -S KEY=VALUE`; "
            "then `python -m stages.params` makes the file anew"
        )
    return text if mark.get("conf") == stamp().conf_digest(conf()) else composed()


def differences(before: Any, after: Any, at: str = "", *, unread: Sequence[str] = (STAMP,)) -> list[str]:
    """A line for each value that differs: ``train.rank: 8 -> 16``. 8 is not 8.0, and the sections ``unread`` do not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if at or key not in unread]
        return [
            line
            for key in keys
            for line in differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{at}.{key}" if at else str(key))
        ]
    return [] if repr(before) == repr(after) else [f"{at}: {before} -> {after}"]


def stamp() -> ModuleType:
    """The plug-in that writes the stamp; importing it registers its resolvers with OmegaConf."""
    return _imported(conf() / "hydra_plugins" / "darkroom_stamp.py")


@lru_cache(maxsize=1)  # another project's is imported anew, since the resolvers are of the last one imported
def _imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("darkroom_stamp", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file}: cannot be loaded; restore it with `git checkout {file}`")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: Sequence[str]) -> int:
    """Write params.yaml and say on standard error what changed; 1 when the user has something to put right."""
    file = Path("params.yaml")
    text = file.read_text(encoding="utf-8") if file.is_file() else None
    try:
        result = checked(renewed(text) if list(arguments) == ["--stage"] else composed(arguments))
        if result != text:
            replace(file, result.encode())
    except ConfigError as error:
        terminal.complain(str(error))
        return 1
    except OSError as error:
        if not machine.disk_is_full(error):
            raise
        terminal.complain("params.yaml: the disk is full; free some space and run it again")
        return 1
    if result != text:
        for line in differences(_values(text), _values(result), unread=(STAMP, *schemas.UNREAD)) if text else []:
            terminal.complain(f"params.yaml: {line}")
    return 0


def _values(text: str | None) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _first_lines(error: Exception) -> str:
    """Hydra's message without its listing of search paths and blank lines."""
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    return "\n  ".join(
        line
        for line in lines
        if "search path" not in line.lower() and "searchpath" not in line.lower() and "provider=" not in line
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
