"""What changes the speed and not the result: engine, workers, device, cache folder. It comes from the environment.

``DARKROOM_ENGINE``   who works item by item: ``threads`` (unless set), ``processes``, ``daft`` or ``ray``
``DARKROOM_WORKERS``  how many of them at a time; the number of cores when unset
``DARKROOM_DEVICE``   ``cpu`` or ``cuda``; the first GPU when there is one
``DARKROOM_CACHE``    where fetched bytes and checkpoints lie; ``~/.cache/darkroom`` when unset
"""

import errno
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache, partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, overload

from tqdm import tqdm

from stages.children import Children, Died, Guard, opened, pack, unpack, work_on
from stages.errors import ConfigError

In = TypeVar("In")
Out = TypeVar("Out")

PART = 32  # items of one query of Daft's, for each core
SPREAD = 8  # items that one core of Daft's takes at a time
AHEAD = 4  # items in work or done and not yet taken, for each worker: results may be pictures, and memory is short


def workers() -> int:
    """How many threads work item by item.

    Raises:
        ConfigError: when ``DARKROOM_WORKERS`` is not a positive number.
    """
    given = os.environ.get("DARKROOM_WORKERS", "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise ConfigError(f"DARKROOM_WORKERS: {given!r} is no number of threads; give 1 or more, or unset it")
    return int(given) if given else (os.cpu_count() or 1)


def loaders() -> int:
    """How many processes read ahead for training; 0, and so the training itself, when ``DARKROOM_LOADERS`` is unset.

    Raises:
        ConfigError: when it is not a number.
    """
    given = os.environ.get("DARKROOM_LOADERS", "0")
    if not given.isdecimal():
        raise ConfigError(f"DARKROOM_LOADERS: {given!r} is no number of processes; give 0 or more, or unset it")
    return int(given)


def device() -> str:
    """``cpu`` or ``cuda``: where models run."""
    given = os.environ.get("DARKROOM_DEVICE", "")
    if given not in ("", "cpu", "cuda"):
        raise ConfigError(f"DARKROOM_DEVICE: {given!r} is no device; give cpu or cuda, or unset it")
    if given:
        return given
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def use_threads(count: int) -> None:
    """Let torch and BLAS compute with ``count`` threads from now on: another number gives other last bits.

    How many is therefore a parameter of each stage that computes with floating point, and never the machine's choice.
    """
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def cache(name: str) -> Path:
    """The folder ``name`` of the cache, made if need be: losing it costs time and changes no result."""
    home = os.environ.get("DARKROOM_CACHE") or Path.home() / ".cache" / "darkroom"
    folder = Path(home) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@overload
def each(work: Callable[[In], Out], items: Collection[In], *, label: str) -> Iterator[Out]: ...
@overload
def each(work: Callable[[In], Out], items: Collection[In], *, label: str, guard: Guard) -> Iterator[Out | Died]: ...
def each(
    work: Callable[[In], Out], items: Collection[In], *, label: str, guard: Guard | None = None
) -> Iterator[Out | Died]:
    """The result of ``work`` for every one of ``items``, in their order, with a progress bar on a terminal.

    The engine changes nothing of the results. With a ``guard`` every item is worked on in a process that may hang, eat
    memory or crash; its result is then ``Died``, and the others go on. What ``work`` raises comes out, with or without.
    Only a few results are held at a time, so take them as they come.

    Raises:
        ConfigError: when ``DARKROOM_ENGINE`` names none, or one that is not installed or cannot have this work.
        DarkroomError: when a process ended that nobody guarded.
    """
    results = ENGINES[engine()](work, items, guard)
    yield from tqdm(results, total=len(items), desc=label, disable=not sys.stderr.isatty(), leave=False)


def engine() -> str:
    """Who works item by item.

    Raises:
        ConfigError: when ``DARKROOM_ENGINE`` is none of ``ENGINES``.
    """
    given = os.environ.get("DARKROOM_ENGINE") or "threads"
    if given not in ENGINES:
        raise ConfigError(f"DARKROOM_ENGINE: {given!r} is no engine; give {', '.join(ENGINES)}, or unset it")
    return given


def _on_threads(work: Callable[[In], Out], items: Iterable[In], guard: Guard | None) -> Iterator[Out | Died]:
    """OpenCV, Pillow and PyAV let go of Python's lock while they work; a guard takes processes all the same."""
    if guard is not None:
        yield from _on_processes(work, items, guard)
        return
    with ThreadPoolExecutor(workers()) as pool:
        yield from _in_order(lambda item: pool.submit(work, item), items, ahead=AHEAD * workers())


def _on_processes(work: Callable[[In], Out], items: Iterable[In], guard: Guard | None) -> Iterator[Out | Died]:
    """Each of as many threads minds a process of its own, so that a death is known at once and costs one item."""
    with ThreadPoolExecutor(workers()) as pool, closing(Children(pack(work), guard)) as children:
        yield from _in_order(lambda item: pool.submit(children, item), items, ahead=AHEAD * workers())


def _on_daft(work: Callable[[In], Out], items: Iterable[In], guard: Guard | None) -> Iterator[Out | Died]:
    """Daft as it runs on one machine, on threads of its own: for the query that runs unchanged on Ray."""
    try:
        yield from _queried(_package("daft"), partial(_there, pack(work), guard), items, cores=os.cpu_count() or 1)
    finally:
        _working.cache_clear()  # and its processes end


def _on_ray(work: Callable[[In], Out], items: Iterable[In], guard: Guard | None) -> Iterator[Out | Died]:
    """Daft on the Ray cluster that ``RAY_ADDRESS`` names, or else on one that Ray starts here.

    Its machines must see the same files under the same paths.
    """
    daft, ray = _package("daft"), _package("ray")
    if not ray.is_initialized():
        ours = os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")]))
        same_code = {"env_vars": {"PYTHONPATH": ours}}  # and not another version that is installed there
        ray.init(log_to_driver=False, logging_level="ERROR", runtime_env=same_code)
    if daft.get_or_infer_runner_type() != "ray":
        daft.set_runner_ray()
    cores = int(ray.cluster_resources()["CPU"])
    yield from _queried(daft, partial(_there, pack(work), guard), items, cores=cores)


ENGINES = {"threads": _on_threads, "processes": _on_processes, "daft": _on_daft, "ray": _on_ray}


def _package(name: str) -> Any:
    """The package ``name`` of the extra ``cluster``, which tells nobody that it is used."""
    os.environ |= {"DAFT_ANALYTICS_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(
            f"DARKROOM_ENGINE: {name} is not installed; pip install 'darkroom[cluster]', or give threads or processes"
        ) from None


def _queried(daft: Any, there: Callable[[bytes], bytes], items: Iterable[In], *, cores: int) -> Iterator[Out | Died]:
    """One query for each part of ``items``, so that not all results are held at once.

    An error comes as a result, because Daft would end the query and say little. Its order is promised nowhere: rows
    carry their number. ``into_batches`` spreads them; ``into_partitions`` does nothing on one machine.
    """
    column = daft.func(lambda item: there(item), return_dtype=daft.DataType.binary(), use_process=False)  # noqa: PLW0108
    for part in _parts(items, PART * cores):
        table = daft.from_pydict({"number": list(range(len(part))), "item": [pickle.dumps(item) for item in part]})
        query = table.into_batches(SPREAD).select(daft.col("number"), column(daft.col("item")).alias("outcome"))
        done = query.to_pydict()
        for _, outcome in sorted(zip(done["number"], done["outcome"], strict=True)):
            result, error = opened(outcome)
            if error is not None:
                raise error
            yield result


def _parts(items: Iterable[In], size: int) -> Iterator[list[In]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _there(packed: bytes, guard: Guard | None, item: bytes) -> bytes:
    """What came of the packed ``item``, wherever Daft or Ray brought it."""
    return work_on(_working(packed, guard), item)


@lru_cache(maxsize=1)
def _working(packed: bytes, guard: Guard | None) -> Callable[[Any], Any]:
    """What does the work in this process, unpacked once."""
    return unpack(packed) if guard is None else Children(packed, guard)


def _in_order(submit: Callable[[In], "Future[Out]"], items: Iterable[In], *, ahead: int) -> Iterator[Out]:
    """The results of what ``submit`` began for ``items``, in their order, never more than ``ahead`` of them begun."""
    begun: deque[Future[Out]] = deque()
    try:
        for item in items:
            begun.append(submit(item))
            if len(begun) == ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


def disk_is_full(error: BaseException | None) -> bool:
    """Whether ``error``, or what caused it, says that no space is left; libraries wrap it in many ways."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(
            text in str(error).lower() for text in ("no space left on device", "disk is full", "disk quota exceeded")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
