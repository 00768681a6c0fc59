"""The robots.txt of every origin: asked for once, kept for a day, and on disk for the next run."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from stages.errors import FetchError
from stages.tables import replace
from stages.web import robots

FRESH = 24 * 3600.0  # seconds; RFC 9309, section 2.4: no copy counts for longer than a day
HELD = 5000  # parsed files in memory
RETRY = 600.0  # seconds until a host whose robots.txt could not be had is asked for it again
Fetch = Callable[[str], bytes]  # what brings the robots.txt of an origin
Copy = tuple[robots.Robots | str, float]  # the rules, or why there are none; and until when that counts


class Shelf:
    """What robots.txt files ask of one crawler. Threads may share it; none of them asks for what another does."""

    def __init__(self, agent: str, *, now: Callable[[], float] = time.time) -> None:
        self.folder: Path | None = None
        self._agent = agent
        self._now = now
        self._lock = Lock()
        self._locks: dict[str, Lock] = {}
        self._copies: dict[str, Copy] = {}

    def of(self, origin: str, fetch: Fetch) -> robots.Robots:
        """What the robots.txt of ``origin`` asks of us. Raises what ``fetch`` raised, for ``RETRY`` seconds."""
        with self._lock:
            lock = self._locks.setdefault(origin, Lock())
        with lock:
            copy, until = self._copies.get(origin, ("", 0.0))
            if self._now() >= until:
                copy, until = self._renewed(origin, fetch)
                self._hold(origin, (copy, until))
        if isinstance(copy, str):
            raise FetchError(copy)
        return copy

    def _hold(self, origin: str, copy: Copy) -> None:
        """Keep ``copy`` at hand, and let go of the oldest where there are too many; the folder has them all."""
        with self._lock:
            self._copies[origin] = copy
            while len(self._copies) > HELD:
                del self._copies[next(iter(self._copies))]

    def _renewed(self, origin: str, fetch: Fetch) -> Copy:
        file = self.folder and self.folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.txt"
        if file and file.is_file() and self._now() < (until := file.stat().st_mtime + FRESH):
            return robots.parse(file.read_bytes(), self._agent), until
        try:
            content = fetch(origin)
        except FetchError as error:
            return str(error), self._now() + RETRY
        if file:
            replace(file, content)
        return robots.parse(content, self._agent), self._now() + FRESH
