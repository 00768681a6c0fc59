"""``dvc repro`` of one copy among several: what two of them would compute alike is computed once.

    python -m stages.sweep.flight LOCKS [TARGET …]

Each stage runs under a lock that is named by what it is about to compute: command, digests of its dependencies, values of
its parameters. Whoever comes second waits and then finds the result in DVC's run-cache. Stages that did not change get no
data at all. It uses what DVC's own ``repro`` is made of, so dvc is bounded in pyproject.toml and a test holds the contract.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock


def run(project: Path, locks: Path, targets: Sequence[str]) -> None:
    """Bring ``targets`` of ``project`` up to date, all stages where none is named.

    Raises:
        DvcException: when a stage fails, or DVC cannot do its part.
    """
    from dvc.repo import Repo

    locks.mkdir(parents=True, exist_ok=True)
    with Repo(str(project)) as repo:
        for name in _plan(repo, targets):
            _reproduce(repo, name, locks)


def key(stage: Any) -> str:
    """The name of what ``stage`` is about to compute: 24 hex digits."""
    parts = [stage.addressing, str(stage.cmd)]
    for dependency in stage.deps:
        found = dependency.get_hash() if dependency.exists else None
        parts.append(f"{dependency.def_path} {found.value if found else None}")
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def _plan(repo: Any, targets: Sequence[str]) -> list[str]:
    from dvc.repo.reproduce import get_active_graph, plan_repro

    graph = get_active_graph(repo.index.graph)
    wanted = [stage for target in targets for stage in repo.stage.collect(target)] or [s for s in graph if s.cmd]
    return [stage.addressing for stage in plan_repro(graph, wanted)]


def _reproduce(repo: Any, name: str, locks: Path) -> None:
    repo._reset()  # noqa: SLF001 - the stage before has written dvc.lock
    with repo.lock:
        (stage,) = repo.stage.collect(name)
        lazy = all(out.use_cache or out.exists for out in stage.outs)  # DVC can do without its data
        missing = [str(each.def_path) for each in stage.deps if not each.exists]
        needed = bool(missing) and stage.changed(allow_missing=lazy)
    if needed:
        repo.checkout(missing, force=True)
    with repo.lock:
        (stage,) = repo.stage.collect(name)
        what = key(stage)
    with FileLock(locks / what):
        repo.reproduce([name], single_item=True, allow_missing=lazy)


def main(arguments: Sequence[str]) -> int:
    """Do it in the working folder; 1 when a stage failed."""
    from dvc.exceptions import DvcException

    try:
        run(Path.cwd(), Path(arguments[0]), arguments[1:])
    except DvcException as error:
        sys.stderr.write(f"{error}{f': {error.__cause__}' if error.__cause__ else ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
