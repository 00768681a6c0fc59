"""Copies of a project: one that no edit reaches while a sweep runs, and one of that for each job, with DVC's cache shared."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.errors import ConfigError
from stages.tables import replace

# Made by what a job does, or none of its business.
LEFT_OUT = (".git", ".dvc", ".venv", "multirun", "mlruns", "mlartifacts", "outputs", "dvc_plots", "build")


def files(project: Path) -> list[Path]:
    """What makes up ``project``, relative to it and sorted: what git tracks or would, and one's own pictures.

    Without git it is every file that no stage made.
    """
    names = {name for name in _known_to_git(project) or _walked(project) if name.parts[0] not in LEFT_OUT}
    own = project / "data" / "own"
    names |= {file.relative_to(project) for file in own.rglob("*") if file.is_file()}
    return sorted(name for name in names if (project / name).is_file())


def digest(project: Path) -> str:
    """12 hex digits over the names and contents of all that makes up ``project`` but its results."""
    total = hashlib.sha256()
    for name in files(project):
        if name.name in {"params.yaml", "dvc.lock"} or name.parts[:2] == ("data", "reports"):
            continue
        total.update(name.as_posix().encode() + b"\0" + hashlib.sha256((project / name).read_bytes()).digest())
    return total.hexdigest()[:12]


def snapshot(project: Path, to: Path) -> None:
    """Copy what makes up ``project``, unless that was done; a copy that was broken off is made anew."""
    if to.is_dir():
        return
    temporary = to.with_name(f"{to.name}.{os.getpid()}.tmp")
    for name in files(project):
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, temporary / name)
    temporary.replace(to)


def make(snapshot_of: Path, project: Path, to: Path) -> None:
    """A copy of a snapshot in which DVC works, without git, on the cache of ``project``.

    Raises:
        ConfigError: when ``project`` has no .dvc/config.
    """
    if not (project / ".dvc" / "config").is_file():
        raise ConfigError(f"{project}: has no .dvc/config; start a sweep in the project's folder")
    shutil.copytree(snapshot_of, to, dirs_exist_ok=True)
    (to / ".dvc").mkdir(exist_ok=True)
    shutil.copy2(project / ".dvc" / "config", to / ".dvc" / "config")
    replace(to / ".dvc" / "config.local", _local(project, to).encode())


def _local(project: Path, to: Path) -> str:
    """DVC's settings of a copy. Its site cache lies within, or each copy would leave one behind in the system's."""
    return "\n".join(
        [
            "[core]",
            "    no_scm = true",
            f"    site_cache_dir = {to / '.dvc' / 'site'}",
            "[cache]",
            f"    dir = {_cache(project)}",
            "    type = reflink,hardlink,symlink,copy",
            "",
        ]
    )


def _cache(project: Path) -> Path:
    """Where ``project`` has its cache, by its own settings."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return Path(repo.cache.local.path).absolute().parents[1]


def _known_to_git(project: Path) -> list[Path]:
    try:
        done = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],  # noqa: S607
            cwd=project,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return []
    return [Path(name) for name in done.stdout.decode().split("\0") if name] if done.returncode == 0 else []


def _walked(project: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(project):
        here = Path(folder).relative_to(project)
        folders[:] = sorted(each for each in folders if not _skipped(here / each))
        yield from (here / name for name in sorted(names))


def _skipped(folder: Path) -> bool:
    made = folder.parts[0] == "data" and len(folder.parts) == 2 and folder.name not in {"own", "reports"}
    hidden: Sequence[str] = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")
    return made or folder.parts[0] in LEFT_OUT or folder.name in hidden
