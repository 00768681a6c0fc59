"""Worker processes, each of which may hang, eat memory or crash over an item without taking anything else along."""

import multiprocessing
import os
import pickle
import queue
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from stages.errors import ConfigError, DarkroomError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one item may take. One that takes more loses its process, and neither the other items nor the stage."""

    seconds: float  # by the clock on the wall
    gigabytes: float  # of address space, beyond what a fresh worker has


@dataclass(frozen=True, slots=True)
class Died:
    """What stands for the result of an item that its guard stopped or that took its process down."""

    reason: str


def pack(work: Callable[[Any], Any]) -> bytes:
    """``work`` for another process, with where it is to be done: the folder and our part of the environment.

    Raises:
        ConfigError: when it holds what cannot leave this process, as a lock or an open file.
    """
    try:
        return cloudpickle.dumps((work, Path.cwd(), _environment()))  # type: ignore[no-any-return]
    except (TypeError, pickle.PicklingError) as error:
        raise ConfigError(f"DARKROOM_ENGINE: {work} cannot be given to another process ({error}); unset it") from None


def _environment() -> dict[str, str]:
    """What ``stages.machine`` reads; all else, credentials too, stays here."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("DARKROOM_")}


def unpack(packed: bytes) -> Callable[[Any], Any]:
    """What ``pack`` packed, with this process where it is to be done."""
    work, folder, environment = pickle.loads(packed)  # noqa: S301 - of our own making
    os.chdir(folder)
    os.environ.update(environment)
    return work  # type: ignore[no-any-return]


def _begun(packed: bytes) -> Callable[[Any], Any]:
    """``unpack``, or what raises for every item the error that kept it from being unpacked: that is no item's fault."""
    try:
        return unpack(packed)
    except Exception as error:  # noqa: BLE001 - it goes on where the first result is awaited
        return partial(_refuse, error)


def _refuse(error: Exception, _: Any) -> None:
    raise error


def work_on(work: Callable[[Any], Any], item: bytes) -> bytes:
    """What came of the packed ``item``: its result, or the error it raised with the traceback as a note."""
    try:
        return pickle.dumps((work(pickle.loads(item)), None))  # noqa: S301 - of our own making
    except Exception as error:  # noqa: BLE001 - it goes on where the result is awaited
        error.add_note(traceback.format_exc())
        return cloudpickle.dumps((None, error))  # type: ignore[no-any-return]


def opened(outcome: bytes) -> tuple[Any, Exception | None]:
    """The result in ``outcome``, or the error."""
    return pickle.loads(outcome)  # type: ignore[no-any-return]  # noqa: S301 - of our own making


class Children:
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
            result, error = opened(child.ask(pickle.dumps(item)))
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
            most = address_space() + round(guard.gigabytes * 1e9)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
        while True:
            item = pipe.recv_bytes()
            signal.setitimer(signal.ITIMER_REAL, guard.seconds if guard else 0)
            outcome = work_on(work, item)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send_bytes(outcome)
    except (EOFError, ConnectionError):
        return


def address_space() -> int:
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
