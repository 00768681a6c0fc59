"""What changes the speed and not the result: workers, device, cache folder. It comes from the environment.

``DARKROOM_WORKERS``  threads for item by item work; the number of cores when unset
``DARKROOM_DEVICE``   ``cpu`` or ``cuda``; the first GPU when there is one
``DARKROOM_CACHE``    where fetched bytes and checkpoints lie; ``~/.cache/darkroom`` when unset
"""

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.errors import ConfigError

In = TypeVar("In")
Out = TypeVar("Out")


def workers() -> int:
    """How many threads work item by item.

    Raises:
        ConfigError: when ``DARKROOM_WORKERS`` is not a positive number.
    """
    given = os.environ.get("DARKROOM_WORKERS", "")
    if given and not (given.isdecimal() and int(given) > 0):
        raise ConfigError(f"DARKROOM_WORKERS: {given!r} is no number of threads; give 1 or more, or unset it")
    return int(given) if given else (os.cpu_count() or 1)


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


def each(work: Callable[[In], Out], items: Collection[In], *, label: str) -> Iterator[Out]:
    """The result of ``work`` for every one of ``items``, in their order, with a progress bar on a terminal.

    The work is done on threads: OpenCV and Pillow let go of Python's lock while they work.
    """
    with ThreadPoolExecutor(workers()) as pool:
        yield from tqdm(
            pool.map(work, items), total=len(items), desc=label, disable=not sys.stderr.isatty(), leave=False
        )


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
