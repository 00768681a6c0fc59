"""``dvc``, with what it cannot put right itself put right first.

The environment's ``dvc`` command is this one (see pyproject.toml). A disk that fills up, or a kill, while DVC writes leaves dvc.lock
empty or cut off, and DVC then refuses every command for ever; and without git DVC wants to be told so. Nothing is lost
by removing a broken lock file: what was computed lies in DVC's cache and is found again.
"""

import sys
from pathlib import Path


def main() -> int:
    """Mend what is broken in the project of the working folder, then be ``dvc``."""
    if Path("dvc.yaml").is_file() and Path(".dvc").is_dir():
        for line in mended(Path.cwd()):
            sys.stderr.write(f"{line}\n")
    from dvc.cli import main as dvc

    return int(dvc(sys.argv[1:]))


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
