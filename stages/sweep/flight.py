"""``dvc repro`` of one copy among several: what two of them would compute alike is computed once.

    python -m stages.sweep.flight LOCKS [TARGET …]

Each stage runs under a lock that is named by what it is about to compute: command, digests of its dependencies, values of
its parameters. Whoever comes second waits and then finds the result in DVC's run-cache. Stages that did not change get no
data at all, as long as the cache holds it. It uses what DVC's own ``repro`` is made of, so dvc is bounded in
pyproject.toml and a test holds the contract.

``repro`` looks five times at all that a stage depends on and rewrites dvc.lock after it, which takes longer than many a
stage. Here it looks once, and dvc.lock is written where a stage is about to read it, and at the end: what a kill leaves
unwritten lies in the run-cache.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

LOCK = "dvc.lock"
LAST_FAILED = 3  # the exit code where all went well but the last target


class StageError(Exception):
    """A stage that DVC could not bring up to date; its cause says why."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


def run(project: Path, locks: Path, targets: Sequence[str]) -> None:
    """Bring ``targets`` of ``project`` up to date, all stages where none is named.

    Raises:
        StageError: when a stage fails.
        DvcException: when DVC cannot do its part.
    """
    from dvc.repo import Repo, lock_repo

    locks.mkdir(parents=True, exist_ok=True)
    ran: list[Any] = []
    with Repo(str(project)) as repo, lock_repo(repo):
        try:
            for stage, before in _plan(repo, targets):
                if LOCK in str(stage.cmd):
                    _write(ran)
                if _reproduced(stage, before, locks):
                    ran.append(stage)
        finally:
            _write(ran)


def key(stage: Any) -> str:
    """The name of what ``stage`` is about to compute: 24 hex digits."""
    parts = [stage.addressing, str(stage.cmd)]
    for dependency in stage.deps:
        found = dependency.get_hash() if dependency.exists else None
        parts.append(f"{dependency.def_path} {found.value if found else None}")
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def _plan(repo: Any, targets: Sequence[str]) -> list[tuple[Any, list[Any]]]:
    """The stages in the order of their work, each with those whose outputs it reads."""
    from dvc.repo.reproduce import get_active_graph, plan_repro

    graph = get_active_graph(repo.index.graph)
    wanted = [stage for stage in graph if stage.cmd and (not targets or stage.addressing in targets)]
    return [(stage, list(graph.successors(stage))) for stage in plan_repro(graph, wanted)]


def _reproduced(stage: Any, before: list[Any], locks: Path) -> bool:
    """Bring ``stage`` up to date; whether there was anything to do."""
    from dvc.exceptions import DvcException

    try:
        lazy = all(out.exists or not out.changed_cache() for out in stage.outs)  # its data can be had at any time
        missing = [out for other in before for out in other.outs if out.use_cache and not out.exists]
        if missing and stage.changed(allow_missing=lazy, upstream=before):
            for out in missing:
                out.checkout(force=True)
        _settle(stage)
        with FileLock(locks / key(stage)):
            return stage.reproduce(allow_missing=lazy, upstream=before) is not None
    except DvcException as error:
        raise StageError(stage.addressing) from error


def _settle(stage: Any) -> None:
    """Let ``stage`` look once at what it depends on: all that makes it has run before."""
    from dvc.dependency.param import ParamsDependency

    for dependency in stage.deps:
        dependency.get_hash = functools.cache(dependency.get_hash)
        if isinstance(dependency, ParamsDependency):
            dependency.read_params = functools.cache(dependency.read_params)


def _write(ran: list[Any]) -> None:
    """Put what the stages ``ran`` depend on and left into dvc.lock, as DVC writes it, and forget them.

    DVC's own way keeps comments, of which there are none, and takes three times as long.
    """
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dump_yaml, load_yaml

    if ran:
        file = Path(ran[0].path).with_name(LOCK)
        values: Any = load_yaml(str(file)) if file.is_file() else {"schema": "2.0"}
        values.setdefault("stages", {}).update(entry for stage in ran for entry in to_lockfile(stage).items())
        dump_yaml(str(file), values)
    ran.clear()


def main(arguments: Sequence[str]) -> int:
    """Do it in the working folder; ``LAST_FAILED`` when the last target failed, 1 when a stage before it did."""
    from dvc.exceptions import DvcException

    try:
        run(Path.cwd(), Path(arguments[0]), arguments[1:])
    except StageError as error:
        sys.stderr.write(f"{error.stage}: {error.__cause__}\n")
        return LAST_FAILED if error.stage == arguments[-1] else 1
    except DvcException as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
