"""Answers of the web that were had before, kept outside DVC: a killed crawl goes on, and nobody is asked twice.

One small file for an address, one file for each body by its SHA-256, one for each robots.txt. A failure that would
repeat itself is remembered like an answer; one that may pass is asked for again. It changes how long a crawl takes and
not what it brings; the folder may be removed at any time.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from stages.errors import FetchError
from stages.tables import replace
from stages.web import addresses, robots
from stages.web.client import NO_SECRET, Answer, Client, Secret

HOSTS = 32  # that are asked at the same time; each waits for its own pauses
AHEAD = 1000  # addresses that may be under way or done before the first of them is taken; their bodies lie on disk


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer whose body lies on disk."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: str  # SHA-256


Outcome = Future[_Kept | FetchError]


class Journal:
    """``Client.get`` with a memory of ``fresh_hours``."""

    def __init__(self, client: Client, folder: Path, *, fresh_hours: float) -> None:
        self._client = client
        self._folder = folder
        self._seconds = fresh_hours * 3600
        self._lock = Lock()
        self.agent = client.manners.agent  # the product token that sites may speak to
        client.keep_robots(folder / "robots")

    def get(self, url: str, *, secret: Secret = NO_SECRET, ask_robots: bool = True) -> Answer:
        """What ``url`` answers, from memory while that is fresh. Takes and raises what ``Client.get`` does."""
        return self._answer(self._kept(url, secret, ask_robots=ask_robots))

    def get_all(self, urls: Iterable[str]) -> Iterator[Answer | FetchError]:
        """What each of ``urls`` answers, in their order; hosts are asked side by side, each of them one by one.

        ``urls`` is read at most ``AHEAD`` addresses ahead of what is taken, and bodies wait on disk, not in memory.
        """
        with ThreadPoolExecutor(HOSTS) as pool:
            crowd = _Crowd(self._outcome, pool)
            try:
                for outcome in crowd.outcomes(iter(urls)):
                    yield outcome if isinstance(outcome, FetchError) else self._answer(outcome)
            finally:
                crowd.leave()

    def robots(self, url: str) -> robots.Robots:
        """What the robots.txt of the origin of ``url`` says. Raises FetchError when it cannot be had."""
        return self._client.robots(url)

    def _outcome(self, url: str) -> _Kept | FetchError:
        try:
            return self._kept(url, NO_SECRET, ask_robots=True)
        except FetchError as error:
            return error

    def _kept(self, url: str, secret: Secret, *, ask_robots: bool) -> _Kept:
        url = addresses.clean(url)
        entry = self._folder / "answers" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        record, age = self._read(entry)
        if record is not None and age <= self._seconds and (kept := self._remembered(record)):
            return kept
        known = self._answer(_Kept(**record["answer"])) if record and "answer" in record else None
        try:
            answer = self._client.get(url, secret=secret, ask_robots=ask_robots, known=known)
        except FetchError as error:
            if error.lasting and secret == NO_SECRET:  # with another key it may be another answer
                self._write(entry, {"failure": self._failure(error)})
            raise
        return self._remember(entry, answer)

    def _read(self, entry: Path) -> tuple[dict[str, Any] | None, float]:
        """The record in ``entry`` and its age in seconds; none when there is none that can be used."""
        try:
            age = time.time() - entry.stat().st_mtime
            record: dict[str, Any] = json.loads(entry.read_bytes())
        except (FileNotFoundError, ValueError):
            return None, 0.0
        if "answer" in record and not self._whole(record["answer"]["body"]):
            return None, 0.0
        return record, age

    def _remembered(self, record: Mapping[str, Any]) -> _Kept | None:
        """The answer of ``record``. Raises its failure, if it would repeat itself today."""
        if "answer" in record:
            return _Kept(**record["answer"])
        failure = record["failure"]
        if failure["max_bytes"] != self._client.manners.max_bytes:
            return None
        raise FetchError(failure["message"], status=failure["status"], excerpt=failure["excerpt"], lasting=True)

    def _failure(self, error: FetchError) -> dict[str, Any]:
        limit = self._client.manners.max_bytes  # with another limit it would not be the same failure
        return {"message": str(error), "status": error.status, "excerpt": error.excerpt, "max_bytes": limit}

    def _remember(self, entry: Path, answer: Answer) -> _Kept:
        digest = hashlib.sha256(answer.body).hexdigest()
        kept: dict[str, Any] = {
            "url": answer.url,
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": digest,
        }
        with self._lock:
            if not self._whole(digest):
                replace(self._body(digest), answer.body)
        self._write(entry, {"answer": kept})
        return _Kept(**kept)

    def _write(self, entry: Path, record: Mapping[str, Any]) -> None:
        with self._lock:
            replace(entry, json.dumps(record).encode())

    def _answer(self, kept: _Kept) -> Answer:
        return Answer(url=kept.url, status=kept.status, headers=kept.headers, body=self._body(kept.body).read_bytes())

    def _whole(self, digest: str) -> bool:
        body = self._body(digest)
        return body.is_file() and hashlib.sha256(body.read_bytes()).hexdigest() == digest

    def _body(self, digest: str) -> Path:
        return self._folder / "bodies" / digest[:2] / digest


class _Crowd:
    """Work on addresses: side by side for different hosts, one by one and in turn for each."""

    def __init__(self, work: Callable[[str], _Kept | FetchError], pool: ThreadPoolExecutor) -> None:
        self._work = work
        self._pool = pool
        self._lock = Lock()
        self._queues: dict[str, deque[tuple[str, Outcome]]] = {}
        self._left = False

    def outcomes(self, urls: Iterator[str]) -> Iterator[_Kept | FetchError]:
        """What the work gave for each of ``urls``, in their order."""
        ahead: deque[Outcome] = deque()
        while True:
            ahead.extend(map(self._add, islice(urls, AHEAD - len(ahead))))
            if not ahead:
                return
            yield ahead.popleft().result()

    def leave(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._left = True

    def _add(self, url: str) -> Outcome:
        outcome: Outcome = Future()
        try:
            host = addresses.host(addresses.clean(url))
        except FetchError as error:
            outcome.set_result(error)
            return outcome
        with self._lock:
            queue = self._queues.setdefault(host, deque())
            queue.append((url, outcome))
            if len(queue) == 1:
                self._pool.submit(self._next, host)
        return outcome

    def _next(self, host: str) -> None:
        """Do the first thing that waits for ``host``, then let the other hosts have their turn."""
        if self._left:
            return
        url, outcome = self._queues[host][0]
        try:
            outcome.set_result(self._work(url))
        except BaseException as error:  # noqa: BLE001 - a bug of ours: it is raised where the outcome is taken
            outcome.set_exception(error)
        with self._lock:
            self._queues[host].popleft()
            if self._queues[host] and not self._left:
                self._pool.submit(self._next, host)
