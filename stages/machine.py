"""What changes the speed and not the result: engine, workers, device, cache folder. It comes from the environment.

``DARKROOM_ENGINE``   who works item by item: ``threads`` (unless set), ``processes``, ``daft`` or ``ray``
``DARKROOM_WORKERS``  how many of them at a time; the number of cores when unset
``DARKROOM_DEVICE``   ``cpu`` or ``cuda``; the first GPU when there is one
``DARKROOM_CACHE``    where fetched bytes and checkpoints lie; ``~/.cache/darkroom`` when unset
"""

import errno
import multiprocessing
import os
import pickle
import queue
import resource
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import cloudpickle
from tqdm import tqdm

from stages.errors import ConfigError, DarkroomError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

In = TypeVar("In")
Out = TypeVar("Out")

PART = 32  # items of one query of Daft's, for each core
SPREAD = 8  # items that one core of Daft's takes at a time
AHEAD = 4  # items in work or done and not yet taken, for each worker: results may be pictures, and memory is short


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one item may take. One that takes more loses its process, and neither the other items nor the stage."""

    seconds: float  # by the clock on the wall
    gigabytes: float  # of address space, beyond what a fresh worker has


@dataclass(frozen=True, slots=True)
class Died:
    """What stands for the result of an item that its guard stopped or that took its process down."""

    reason: str


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
    with ThreadPoolExecutor(workers()) as pool, closing(_Children(_packed(work), guard)) as children:
        yield from _in_order(lambda item: pool.submit(children, item), items, ahead=AHEAD * workers())


def _on_daft(work: Callable[[In], Out], items: Iterable[In], guard: Guard | None) -> Iterator[Out | Died]:
    """Daft as it runs on one machine, on threads of its own: for the query that runs unchanged on Ray."""
    try:
        yield from _queried(_package("daft"), partial(_there, _packed(work), guard), items, cores=os.cpu_count() or 1)
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
    yield from _queried(daft, partial(_there, _packed(work), guard), items, cores=cores)


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
            result, error = _opened(outcome)
            if error is not None:
                raise error
            yield result


def _parts(items: Iterable[In], size: int) -> Iterator[list[In]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _there(packed: bytes, guard: Guard | None, item: bytes) -> bytes:
    """What came of the packed ``item``, wherever Daft or Ray brought it."""
    return _outcome(_working(packed, guard), item)


@lru_cache(maxsize=1)
def _working(packed: bytes, guard: Guard | None) -> Callable[[Any], Any]:
    """What does the work in this process, unpacked once."""
    return _unpacked(packed) if guard is None else _Children(packed, guard)


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


def _packed(work: Callable[[In], Out]) -> bytes:
    """``work`` for another process, with where it is to be done: the folder and our part of the environment."""
    try:
        return cloudpickle.dumps((work, Path.cwd(), _environment()))  # type: ignore[no-any-return]
    except (TypeError, pickle.PicklingError) as error:
        raise ConfigError(f"DARKROOM_ENGINE: {work} cannot be given to another process ({error}); unset it") from None


def _environment() -> dict[str, str]:
    """What this module reads; all else, credentials too, stays here."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("DARKROOM_")}


def _unpacked(packed: bytes) -> Callable[[Any], Any]:
    work, folder, environment = pickle.loads(packed)  # noqa: S301 - of our own making
    os.chdir(folder)
    os.environ.update(environment)
    return work  # type: ignore[no-any-return]


def _begun(packed: bytes) -> Callable[[Any], Any]:
    """``_unpacked``, or what raises for every item the error that kept it from being unpacked: that is no item's fault."""
    try:
        return _unpacked(packed)
    except Exception as error:  # noqa: BLE001 - it goes on where the first result is awaited
        return partial(_refuse, error)


def _refuse(error: Exception, _: Any) -> None:
    raise error


def _outcome(work: Callable[[Any], Any], item: bytes) -> bytes:
    """What came of the packed ``item``: its result, or the error it raised with the traceback as a note."""
    try:
        return pickle.dumps((work(pickle.loads(item)), None))  # noqa: S301 - of our own making
    except Exception as error:  # noqa: BLE001 - it goes on where the result is awaited
        error.add_note(traceback.format_exc())
        return cloudpickle.dumps((None, error))  # type: ignore[no-any-return]


def _opened(outcome: bytes) -> tuple[Any, Exception | None]:
    """The result in ``outcome``, or the error."""
    return pickle.loads(outcome)  # type: ignore[no-any-return]  # noqa: S301 - of our own making


class _Children:
    """Worker processes that start when they are first needed and are used again; to be called from many threads."""

    def __init__(self, packed: bytes, guard: Guard | None) -> None:
        self._packed, self._guard = packed, guard
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._busy: set[_Child] = set()

    def __call__(self, item: Any) -> Any:
        """What came of ``item`` in one of the processes.

        Raises:
            DarkroomError: when the process ended and there is no guard.
        """
        child = self._free()
        self._busy.add(child)
        try:
            result, error = _opened(child.ask(pickle.dumps(item)))
        except (EOFError, OSError):  # the pipe has ended, and so has the process
            return self._died(child.end())
        finally:
            self._busy.discard(child)
        if self._guard is not None and _starved(error):
            child.end()  # it may be in pieces
            return self._died(None)
        self._idle.put(child)
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the processes, also those that are at work: nobody waits for them any more."""
        for child in tuple(self._busy):
            child.kill()
        while not self._idle.empty():
            self._idle.get_nowait().end()

    def _free(self) -> "_Child":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return _Child(self._packed, self._guard)

    def _died(self, code: int | None) -> Died:
        reason = _reason(code, self._guard)
        if self._guard is None:
            raise DarkroomError(f"a worker process {reason}; set DARKROOM_WORKERS to fewer, or unset DARKROOM_ENGINE")
        return Died(reason)


class _Child:
    """One worker process, which works on one item after the other."""

    _minding = threading.Lock()  # multiprocessing's list of its children knows no threads

    def __init__(self, packed: bytes, guard: Guard | None) -> None:
        # Not forked from this process: its threads' locks would stay closed for ever, and torch would come along.
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        with self._minding:
            context.set_forkserver_preload([__name__])
            self._process = context.Process(target=_serve, args=(theirs, guard), daemon=True)
            self._process.start()
        theirs.close()
        self._pipe.send_bytes(packed)

    def ask(self, item: bytes) -> bytes:
        """The packed outcome of the packed ``item``.

        Raises:
            EOFError, OSError: when the process ended over it.
        """
        self._pipe.send_bytes(item)
        return self._pipe.recv_bytes()

    def kill(self) -> None:
        """End the process over whatever it does; who asked it hears of it."""
        with self._minding:
            if not self._pipe.closed:
                self._process.kill()

    def end(self) -> int | None:
        """End the process; its exit code, or the negative number of the signal that ended it before."""
        with self._minding:
            self._pipe.close()  # upon which it ends by itself
            self._process.join()
            code = self._process.exitcode
            self._process.close()
        return code


def _serve(pipe: "Connection", guard: Guard | None) -> None:
    """What a worker process does: one item after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, too, and closes the pipe
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process even while it is inside of C
    try:
        work = _begun(pipe.recv_bytes())
        if guard is not None and sys.platform == "linux":  # others do not keep to the limit
            most = _address_space() + round(guard.gigabytes * 1e9)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        while True:
            item = pipe.recv_bytes()
            signal.setitimer(signal.ITIMER_REAL, guard.seconds if guard else 0)
            outcome = _outcome(work, item)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send_bytes(outcome)
    except (EOFError, ConnectionError):
        return


def _address_space() -> int:
    """Bytes of address space that this process has; Linux says."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _starved(error: Exception | None) -> bool:
    """Whether ``error`` says that there was no memory; OpenCV has a word of its own for it."""
    return isinstance(error, MemoryError) or "nsufficient memory" in str(error)


def _reason(code: int | None, guard: Guard | None) -> str:
    """Why a process ended: ``code`` is its exit code or the negative number of a signal, None when memory was short."""
    if guard is not None and code is None:
        return f"took more than {guard.gigabytes:g} GB of memory"
    if guard is not None and code == -signal.SIGALRM:
        return f"took more than {guard.seconds:g} seconds"
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


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
