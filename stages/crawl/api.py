"""What the sources that ask a platform's API share: keys, a budget, pages that are asked for once, and their pictures.

Keys come from the environment and go into requests alone. A page is remembered as soon as it is whole and no error, so a
crawl that was killed, or that ran out of its budget, goes on where it stopped, and what it asks for again costs nothing.
What was spent is counted in the cache folder, over restarts and over processes.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlencode, urlsplit

from bs4 import BeautifulSoup, UnusualUsageWarning
from bs4.exceptions import ParserRejectedMarkup
from filelock import FileLock

from stages import machine
from stages.crawl import media
from stages.crawl.journal import Journal
from stages.crawl.sites import Sites
from stages.crawl.sources import Found, Missed, Visit
from stages.errors import FetchError, RobotsDenied, SourceError
from stages.records import Evidence, Request, Signal
from stages.tables import replace
from stages.web.client import NO_SECRET, Answer, Client, Secret

Row = Mapping[str, Any]
BATCH = 100  # files that are fetched together, hosts side by side
MINUTE = 60  # seconds: what was spent is counted by the minute


class Stopped(Exception):
    """No further page can be had now; what was brought stays."""

    def __init__(self, address: str, reason: str, *, is_of_one: bool = False) -> None:
        super().__init__(f"{address}: {reason}")
        self.address = address
        self.reason = reason
        self.is_of_one = is_of_one  # of this address only: others may still be had


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One picture or video as an API tells of it."""

    url: str
    page: str
    kind: Literal["image", "video"]
    alt: str
    title: str
    author: str
    credit: str
    licence: str  # raw; empty when the API names none
    where: str  # which API says so


Searched = tuple[Iterable[Record | Missed], int]  # what a search finds, and how many of it are wanted at most
Fetch = Callable[[Sequence[Record]], Iterable[Found | Missed]]


class Budget:
    """At most ``units`` in any ``hours``, counted in a file of the cache folder."""

    def __init__(self, name: str, *, units: int, hours: float, clock: Callable[[], float] = time.time) -> None:
        self._file = machine.cache("crawl/budgets") / f"{name}.json"
        self._units = units
        self._hours = hours
        self._clock = clock

    def spend(self, address: str, cost: int) -> None:
        """Take ``cost`` units for a request to ``address``.

        Raises:
            Stopped: when that would be more than the budget allows by now.
        """
        with FileLock(self._file.with_suffix(".lock")):
            now = int(self._clock() // MINUTE)
            since = now - int(self._hours * 3600 // MINUTE) - 1
            spent = {minute: units for minute, units in self._spent().items() if int(minute) > since}
            if sum(spent.values()) + cost > self._units:
                raise Stopped(
                    address,
                    f"the budget of {self._units:,} units in {self._hours:g} h is used up; run crawl again later, it goes on here",
                )
            spent[str(now)] = spent.get(str(now), 0) + cost
            replace(self._file, json.dumps(spent).encode())

    def _spent(self) -> dict[str, int]:
        """Minute to units; nothing when the file is not there or was damaged."""
        try:
            found = json.loads(self._file.read_bytes())
            return {str(int(minute)): int(units) for minute, units in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


class Api:
    """One platform: the pages of its API, and the files that they name. One client asks for both, so pauses are kept."""

    def __init__(
        self,
        name: str,
        visit: Visit,
        budget: Budget,
        *,
        secret: Secret = NO_SECRET,
        fault: Callable[[Row], str] = lambda _: "",
        explain: Callable[[FetchError], str] = lambda _: "",
    ) -> None:
        """``fault`` says what is wrong with an answer of status 200, ``explain`` what an error of the API means.

        Both may raise SourceError, for a key that the platform refuses.
        """
        self._client = Client(visit.manners)
        self._journal = Journal(self._client, machine.cache(f"crawl/{name}"), fresh_hours=visit.fresh_hours)
        self._sites = Sites(self._journal)
        self._folder = machine.cache(f"crawl/api-{name}")
        self._seconds = visit.fresh_hours * 3600
        self._budget = budget
        self._secret = secret
        self._fault = fault
        self._explain = explain

    def page(self, address: str, query: Mapping[str, str | int] | None = None, *, cost: int = 1) -> Row:
        """The JSON object that ``address`` answers, from memory while that is fresh.

        Raises:
            Stopped: when the budget is used up, or the answer is an error or no JSON object.
            SourceError: when the platform refuses the key.
        """
        url = f"{address}?{urlencode(query)}" if query else address
        entry = self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        if (remembered := self._remembered(entry)) is not None:
            return remembered
        self._budget.spend(url, cost)
        try:
            body = self._client.get(url, secret=self._secret, ask_robots=False).body
        except FetchError as error:
            reason = self._explain(error) or str(error).removeprefix(f"{url}: ")
            raise Stopped(url, reason, is_of_one=error.status is not None and error.status != 429) from None
        found = _object(url, body)
        if fault := self._fault(found):
            raise Stopped(url, fault, is_of_one=True)
        replace(entry, body)
        return found

    def fetch(self, records: Sequence[Record]) -> Iterator[Found | Missed]:
        """The files of ``records`` from their sites, which are asked as any other: robots.txt, pauses, journal."""
        outcomes = self._journal.get_all(record.url for record in records)
        for record, outcome in zip(records, outcomes, strict=True):
            yield self._brought(record, outcome)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _brought(self, record: Record, outcome: Answer | FetchError) -> Found | Missed:
        if isinstance(outcome, FetchError):
            reason = str(outcome).removeprefix(f"{record.url}: ")
            return Missed(url=record.url, reason=reason, forbidden=isinstance(outcome, RobotsDenied))
        if not media.kind(outcome):
            return missed(record.url, "answers a text, no picture and no video")
        return found(record, outcome.body, self._sites.signals(record.url, outcome, scope="picture"))

    def _remembered(self, entry: Path) -> Row | None:
        if not entry.is_file() or time.time() - entry.stat().st_mtime > self._seconds:
            return None
        try:
            return _object("", entry.read_bytes())
        except Stopped:  # damaged since
            return None


def optional_key(variable: str) -> str:
    """The key in the environment's ``variable``; empty when there is none."""
    return os.environ.get(variable, "").strip()


def key(variable: str, where: str) -> str:
    """The key in the environment's ``variable``; ``where`` one gets it is part of the message when there is none."""
    given = optional_key(variable)
    if not given:
        raise SourceError(f"{variable}: not set, and this source needs a key; get one at {where} and export it")
    return given


def refused(variable: str, why: str, where: str) -> NoReturn:
    """Say that the platform does not take the key in ``variable``, and never the key itself."""
    given = optional_key(variable)
    told = why.replace(given, "…") if given else why
    raise SourceError(f"{variable}: the platform refuses the key ({told}); look it up, or get another, at {where}")


def bring(
    records: Iterable[Record | Missed], fetch: Fetch, *, most: int, before: set[str] | None = None
) -> Iterator[Found | Missed]:
    """What ``fetch`` makes of ``records`` in their order, each address once and no more than ``most``.

    Addresses in ``before`` are passed over; those that were brought are added to it.
    """
    wanted = _wanted(records, most, set() if before is None else before)
    while batch := list(islice(wanted, BATCH)):
        fetched = iter(fetch([each for each in batch if isinstance(each, Record)]))
        yield from (each if isinstance(each, Missed) else next(fetched) for each in batch)


def bring_asked(searches: Sequence[Searched], fetch: Fetch) -> Iterator[Found | Missed]:
    """What each of ``searches`` finds that none before it has: first the configured one, then the requests."""
    before = set[str]()
    for records, most in searches:
        yield from bring(records, fetch, most=most, before=before)


def answerable(requests: Iterable[Request], *, site: str) -> list[Request]:
    """Those of ``requests`` that name no site or ``site``, in their order."""
    return [each for each in requests if each.site in {"", site}]


def _wanted(records: Iterable[Record | Missed], most: int, seen: set[str]) -> Iterator[Record | Missed]:
    """``records`` that are not in ``seen``, up to ``most`` addresses or a stop, of which the last row tells."""
    last = len(seen) + most
    try:
        for record in records:
            if isinstance(record, Missed):
                yield record
            elif record.url not in seen:
                seen.add(record.url)
                yield record
            if len(seen) >= last:
                return
    except Stopped as stopped:
        yield missed(stopped.address, stopped.reason)


def found(record: Record, body: bytes, signals: tuple[Signal, ...]) -> Found:
    """``record`` with its bytes and what is said of their uses."""
    licence = (Evidence(where=record.where, raw=record.licence, scope="picture"),) if record.licence else ()
    return Found(
        url=record.url,
        page=record.page or record.url,
        kind=record.kind,
        alt=record.alt,
        title=record.title,
        author=record.author,
        credit=record.credit,
        licence_evidence=licence,
        signals=signals,
        consent="",
        group="",
        body=body,
    )


def missed(url: str, reason: str) -> Missed:
    """An address that cannot be brought."""
    return Missed(url=url, reason=reason, forbidden=False)


def rows(page: Row, *path: str) -> list[Row]:
    """The objects of the list at ``path`` in ``page``; what is no object is left out, and no list is an empty one."""
    value: Any = page
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """``value`` of an API as one line of text: lists joined, objects left out, half surrogate pairs replaced."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(text, value)))
    plain = "" if value is None or isinstance(value, Mapping | bool) else str(value)
    return " ".join(plain.encode(errors="replace").decode().split())


def number(value: Any) -> int:
    """``value`` of an API as a whole number, which some give as text; 0 when it is none."""
    plain = text(value)
    return int(plain) if plain.isdecimal() and len(plain) < 16 else 0


def bare(html: Any) -> str:
    """The words of a value that holds HTML."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualUsageWarning)  # many are plain text, a name of a file or an address
        try:
            return text(BeautifulSoup(text(html), "html.parser").get_text(" ", strip=True))
        except ParserRejectedMarkup:
            return ""


def address(value: Any) -> str:
    """``value`` when it is an address of the web; else empty."""
    url = text(value)
    try:
        parts = urlsplit(f"https:{url}" if url.startswith("//") else url)
        return parts.geturl() if parts.scheme in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def _object(url: str, body: bytes) -> Row:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Stopped(url, "answers no JSON", is_of_one=True) from None
    if not isinstance(value, Mapping):
        raise Stopped(url, "answers no JSON object", is_of_one=True)
    return value
