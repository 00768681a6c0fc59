"""``dvc repro`` of one copy among several: what two of them would compute alike is computed once.

    python -m stages.sweep.flight LOCKS [TARGET …]

Each stage runs under a lock that is named by what it is about to compute: command, digests of its dependencies, values of
its parameters. Whoever comes second waits and then finds the result in DVC's run-cache. Stages that did not change get no
data at all, as long as the cache holds it. It uses what DVC's own ``repro`` is made of, so dvc is bounded in
pyproject.toml and a test holds the contract.

``repro`` parses and writes dvc.lock for each stage, which takes longer than many a stage. Here it is written where a stage
is about to read it, and at the end: what a kill leaves unwritten lies in the run-cache.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

LOCK = "dvc.lock"


def run(project: Path, locks: Path, targets: Sequence[str]) -> None:
    """Bring ``targets`` of ``project`` up to date, all stages where none is named.

    Raises:
        DvcException: when a stage fails, or DVC cannot do its part.
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
    wanted = [stage for target in targets for stage in repo.stage.collect(target)] or [s for s in graph if s.cmd]
    return [(stage, list(graph.successors(stage))) for stage in plan_repro(graph, wanted)]


def _reproduced(stage: Any, before: list[Any], locks: Path) -> bool:
    """Bring ``stage`` up to date; whether there was anything to do."""
    lazy = all(out.exists or not out.changed_cache() for out in stage.outs)  # its data can be had at any time
    missing = [out for other in before for out in other.outs if out.use_cache and not out.exists]
    if missing and stage.changed(allow_missing=lazy, upstream=before):
        for out in missing:
            out.checkout(force=True)
    with FileLock(locks / key(stage)):
        return stage.reproduce(allow_missing=lazy, upstream=before) is not None


def _write(ran: list[Any]) -> None:
    """Put what the stages ``ran`` depend on and left into dvc.lock, and forget them."""
    if ran:
        ran[0].dvcfile.dump_stages(ran, update_pipeline=False)
    ran.clear()


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
