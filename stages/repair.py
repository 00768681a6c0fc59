"""``dvc``, with what it cannot put right itself put right first, and wrong overrides refused before it starts.

The environment's ``dvc`` command is this one (see pyproject.toml). A disk that fills up, or a kill, while DVC writes leaves dvc.lock
empty or cut off, and DVC then refuses every command for ever; and without git DVC wants to be told so. Nothing is lost
by removing a broken lock file: what was computed lies in DVC's cache and is found again. What ``-S`` says is checked as
the first stage checks it, but before DVC has written it into params.yaml.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from stages import terminal


def main() -> int:
    """Mend what is broken in the project of the working folder, then be ``dvc``."""
    if Path("dvc.yaml").is_file() and Path(".dvc").is_dir():
        for line in mended(Path.cwd()):
            terminal.complain(line)
        if refusal := refused(sys.argv[1:]):
            terminal.complain(refusal)
            return 1
    from dvc.cli import main as dvc

    return int(dvc(sys.argv[1:]))


def refused(arguments: Sequence[str]) -> str:
    """Why the overrides in ``arguments`` cannot be, in one message; empty when they can, or there are none.

    What is queued may be a sweep, which Hydra takes apart: there only the names of options are looked at.
    """
    overrides = [each.removeprefix("params.yaml:") for each in _overrides(arguments)]
    if list(arguments[:2]) != ["exp", "run"] or not overrides:
        return ""
    from stages import params
    from stages.errors import ConfigError

    if "--queue" in arguments:
        return "\n".join(params.unknown_options(overrides))
    try:
        params.checked(params.composed(overrides))
    except ConfigError as error:
        return str(error)
    return ""


def _overrides(arguments: Sequence[str]) -> Iterator[str]:
    """The values of ``-S`` and ``--set-param``, in each way in which they may be written."""
    for before, argument in pairwise(["", *arguments]):
        if before in ("-S", "--set-param"):
            yield argument
        elif argument.startswith("--set-param="):
            yield argument.removeprefix("--set-param=")
        elif argument.startswith("-S") and argument != "-S":
            yield argument.removeprefix("-S")


def mended(project: Path) -> list[str]:
    """Put ``project`` right and say what was done, a line each; nothing when all was well."""
    return [*_lock_file(project / "dvc.lock"), *_without_git(project)]


def _lock_file(lock: Path) -> list[str]:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # what DVC itself asks of the file: a cut can leave whole YAML
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    if not lock.is_file():
        return []
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(lock.read_bytes()))
    except (YAMLError, UnicodeDecodeError, Invalid):
        lock.unlink()
        return ["dvc.lock: it was empty or cut off in writing; removed, what is cached is found again"]
    return []


def _without_git(project: Path) -> list[str]:
    local = project / ".dvc" / "config.local"
    if any((folder / ".git").exists() for folder in (project, *project.parents)) or local.exists():
        return []
    local.write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    return ["no git repository here: DVC was told to do without (.dvc/config.local)"]
