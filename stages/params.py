"""``conf/`` to ``params.yaml``, which is what every stage reads.

    python -m stages.params [OVERRIDE …]   compose anew, as Hydra does
    python -m stages.params --stage        what the first stage of dvc.yaml does, see ``renewed``

``dvc repro`` never composes Hydra and ``dvc exp run`` always does. A stamp inside params.yaml makes both right: the
digest of ``conf/`` and the digest of all values, written by resolvers that DVC's own composition loads, too.
"""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from stages import machine
from stages.errors import ConfigError
from stages.tables import replace

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).parent.parent
STAMP = "_compose_"
ABSENT = "(not there)"  # in a line of differences
UNREAD = (STAMP, "family", "sweep")  # sections that no stage reads; what stages take of a family shows in their own


def composed(overrides: Sequence[str] = ()) -> str:
    """The YAML that Hydra composes of ``conf/``, byte for byte what ``dvc exp run`` writes.

    Raises:
        ConfigError: when a group, an option, a key or an interpolation does not exist, or a file is no YAML.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    stamp()
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return resolved(compose("config", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"conf/: {_first_lines(error)}") from None


def resolved(values: "DictConfig") -> str:
    """The YAML of what Hydra composed, every interpolation filled in."""
    from omegaconf import OmegaConf

    OmegaConf.resolve(values)
    return OmegaConf.to_yaml(values)


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
    return text if mark.get("conf") == stamp().conf_digest(ROOT / "conf") else composed()


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


@cache
def stamp() -> ModuleType:
    """The plug-in that writes the stamp; importing it registers its resolvers with OmegaConf."""
    file = ROOT / "conf" / "hydra_plugins" / "darkroom_stamp.py"
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
        result = renewed(text) if list(arguments) == ["--stage"] else composed(arguments)
        if result != text:
            replace(file, result.encode())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        if not machine.disk_is_full(error):
            raise
        sys.stderr.write("params.yaml: the disk is full; free some space and run it again\n")
        return 1
    if result != text:
        for line in differences(_values(text), _values(result), unread=UNREAD) if text else []:
            sys.stderr.write(f"params.yaml: {line}\n")
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
