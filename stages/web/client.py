"""The client: the one place that asks the web for anything.

It asks robots.txt before anything else of a host, waits between two requests to a host, tries again what failed for
a moment, follows redirects itself (each hop is asked of robots.txt, too), and stops at a limit of time and of bytes.
Only http and https, only public addresses. Threads may share it: hosts are asked side by side, one host one by one.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Lock
from typing import Annotated
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

import requests
from pydantic import Field

from stages.config import settings
from stages.errors import FetchError, RobotsDenied
from stages.web import addresses, robots, wire
from stages.web.shelf import Shelf

REDIRECTS = 5  # RFC 9309, section 2.3.1.2, asks for at least five
EXCERPT = 2000  # characters of the body of an answer that is an error
LEFT_OUT = "[secret]"  # what stands where a server repeated a secret
GUESSABLE = 5  # a secret of so few characters may stand in an answer by chance, and is left there


@settings
class Manners:
    """How the client behaves towards the sites it visits."""

    agent: Annotated[str, Field(pattern=r"^[A-Za-z_-]+$")]  # product token that robots.txt is asked for
    contact: Annotated[str, Field(min_length=3, pattern=r"^[!-~]+( [!-~]+)*$")]  # a page or a mail address of yours
    pause: Annotated[float, Field(ge=0)]  # seconds between two requests to one host; robots.txt may ask for more
    max_pause: Annotated[float, Field(gt=0)]  # seconds; a host that asks for more is left alone
    timeout: Annotated[float, Field(gt=0)]  # seconds without a byte
    deadline: Annotated[float, Field(gt=0)]  # seconds for one address, redirects and retries among them, pauses not
    max_bytes: Annotated[int, Field(gt=0)]  # of one answer, decoded
    retries: Annotated[int, Field(ge=0)]  # after 5xx, 429 and broken connections
    backoff: Annotated[float, Field(ge=0)]  # seconds before the first retry; it doubles each time
    private: bool  # whether addresses that are not public may be visited, as those of an intranet


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What proves to one host who asks. It is added to a request as it is sent and stands nowhere else."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


NO_SECRET = Secret()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an address answered with a status below 400."""

    url: str  # after redirects
    status: int
    headers: Mapping[str, str]  # names in lower case; repeated ones joined by ", "
    body: bytes


class Client:
    """A crawler's only way out. ``connect_to`` maps a host to the address that stands for it, as in curl."""

    def __init__(
        self,
        manners: Manners,
        *,
        connect_to: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        look_up: wire.LookUp = wire.look_up,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.manners = manners
        self._connect_to = connect_to or {}
        self._sleep = sleep
        self._look_up = look_up
        self._now = now
        self._hosts: dict[str, _Host] = {}
        self._lock = Lock()
        self._shelf = Shelf(manners.agent, now=now)

    def get(
        self, url: str, *, secret: Secret = NO_SECRET, ask_robots: bool = True, known: Answer | None = None
    ) -> Answer:
        """What ``url`` answers, redirects followed.

        ``secret`` goes to the host of ``url`` and to no other. ``ask_robots=False`` is for addresses of a documented
        API, whose terms stand in place of robots.txt. ``known`` is an older answer: its body serves again when the
        server says that it is still right (RFC 9110, section 13).

        Raises:
            RobotsDenied: when robots.txt forbids it, or asks for a longer pause than ``max_pause``.
            FetchError: when robots.txt cannot be had, or the answer is an error, too large, too slow, or redirects too often.
        """
        url = addresses.clean(url)
        home = addresses.origin(url)
        errand = _Errand(left=self.manners.deadline)
        for _ in range(REDIRECTS + 1):
            at_home = addresses.origin(url) == home
            if ask_robots or not at_home:
                self._ask_leave(url)
            errand.secret = secret if at_home else NO_SECRET
            errand.known = known if known is not None and known.url == url else None
            answer = self._patiently(url, errand)
            if not 300 <= answer.status < 400:
                return answer
            url = _without(_next_hop(answer), secret)
        raise FetchError(f"{url}: more than {REDIRECTS} redirects", lasting=True)

    def robots(self, url: str) -> robots.Robots:
        """What the robots.txt of the origin of ``url`` asks of us. Raises FetchError when it cannot be had."""
        return self._shelf.of(addresses.origin(addresses.clean(url)), self._fetch_robots)

    def keep_robots(self, folder: Path) -> None:
        """Keep what robots.txt files say in ``folder`` for as long as they count, for the next client."""
        self._shelf.folder = folder

    def close(self) -> None:
        """Hang up on every host."""
        for host in self._hosts.values():
            if host.line is not None:
                host.line.close()

    def _ask_leave(self, url: str) -> None:
        try:
            rules = self.robots(url)
        except FetchError as error:
            raise FetchError(f"{url}: robots.txt cannot be had, so nothing may be fetched ({error})") from None
        if not rules.allows(addresses.target(url)):
            raise RobotsDenied(f"{url}: robots.txt forbids it")
        if rules.delay > self.manners.max_pause:
            raise RobotsDenied(f"{url}: robots.txt asks for {rules.delay:g} s between requests, more than max_pause")
        self._host(url).delay = rules.delay

    def _fetch_robots(self, origin: str) -> bytes:
        """RFC 9309, section 2.3.1: 4xx allows everything, as an empty file; 5xx and no answer stay the error they are."""
        url = f"{origin}/robots.txt"
        errand = _Errand(left=self.manners.deadline)
        try:
            for _ in range(REDIRECTS + 1):
                answer = self._patiently(url, errand)
                if not 300 <= answer.status < 400:
                    return answer.body
                url = _next_hop(answer)
        except FetchError as error:
            if error.status is None or error.status == 429 or error.status >= 500:
                raise
        return b""  # section 2.3.1.2: too many redirects count as unavailable

    def _patiently(self, url: str, errand: "_Errand") -> Answer:
        wait = self.manners.backoff
        for attempt in range(self.manners.retries + 1):
            try:
                return self._once(url, errand)
            except _Passing as error:
                if attempt == self.manners.retries or error.retry_after > self.manners.max_pause:
                    raise
                self._sleep(min(max(wait, error.retry_after), self.manners.max_pause))
                wait *= 2
        raise AssertionError("the loop returns or raises")

    def _once(self, url: str, errand: "_Errand") -> Answer:
        host = self._host(url)
        with host.lock:
            self._wait_turn(url, host)
            started = time.monotonic()
            try:
                reply = self._exchange(url, host, errand, started)
            except wire.Broken as error:
                raise _Passing(f"{url}: {error}") from None
            except FetchError as error:
                raise FetchError(f"{url}: {error}", lasting=error.lasting) from None
            finally:
                host.last = time.monotonic()
                errand.left -= host.last - started
            return self._judged(url, host, reply, errand)

    def _exchange(self, url: str, host: "_Host", errand: "_Errand", started: float) -> wire.Reply:
        """One request and its reply, over the connection that is open to the host or over a new one."""
        manners, origin = self.manners, addresses.origin(url)
        limits = wire.Limits(manners.timeout, manners.deadline, started + errand.left, manners.max_bytes)
        head = self._head(url, errand)
        if host.line is not None and host.line_to == origin and host.line.usable():
            try:
                return host.line.ask(head, limits)
            except wire.HungUp:
                pass  # it closed the connection as we came: a new one will do
        if host.line is not None:
            host.line.close()
        host.line, host.line_to = self._connect(url, limits), origin
        return host.line.ask(head, limits)

    def _connect(self, url: str, limits: wire.Limits) -> wire.Line:
        stand_in = self._connect_to.get(addresses.host(url))
        private, look_up = self.manners.private, self._look_up
        if stand_in is None:
            return wire.connect(addresses.origin(url), limits, look_up=look_up, private=private)
        there = addresses.origin(urlunsplit(urlsplit(url)._replace(netloc=stand_in)))
        return wire.connect(there, limits, look_up=wire.look_up, private=True)

    def _head(self, url: str, errand: "_Errand") -> bytes:
        """The whole of a request: ``requests`` puts it together, ``wire`` sends it within the limits."""
        headers = {
            "Host": addresses.host(url),
            "User-Agent": f"{self.manners.agent}/1.0 (+{self.manners.contact})",
            "Accept": "*/*",
            "Accept-Encoding": "gzip",
        } | _validators(errand.known)
        headers |= errand.secret.headers
        if any(character in value for value in headers.values() for character in "\r\n\0"):
            raise FetchError("a header of the request holds the end of a line; check the secret")
        request = requests.Request("GET", url, headers=headers, params=dict(errand.secret.query)).prepare()
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        return "\r\n".join([f"GET {request.path_url} HTTP/1.1", *lines, "", ""]).encode("latin-1", errors="replace")

    def _judged(self, url: str, host: "_Host", reply: wire.Reply, errand: "_Errand") -> Answer:
        """``reply`` as an answer, or as the fault that its status means; no secret is in it."""
        hide = _hider(errand.secret)
        headers = {name: hide(value) for name, value in reply.headers.items()}
        if reply.status == 304:
            if errand.known is None:
                raise FetchError(f"{url}: answered 304 to a question that nobody asked")
            return replace(errand.known, headers={**errand.known.headers, **headers})
        if reply.status < 400:
            body = hide(reply.body.decode("latin-1")).encode("latin-1") if errand.secret != NO_SECRET else reply.body
            return Answer(url=url, status=reply.status, headers=headers, body=body)
        message = f"{url}: answered {reply.status} {hide(reply.reason)}".rstrip()
        excerpt = hide(reply.body.decode("utf-8", errors="replace"))[:EXCERPT]
        if reply.status in (408, 425, 429) or reply.status >= 500:
            after = _seconds(headers.get("retry-after", ""), self._now())
            if after > self.manners.max_pause:
                host.closed_until = time.monotonic() + after
            raise _Passing(message, status=reply.status, excerpt=excerpt, retry_after=after)
        raise FetchError(message, status=reply.status, excerpt=excerpt, lasting=True)

    def _host(self, url: str) -> "_Host":
        with self._lock:
            return self._hosts.setdefault(addresses.host(url), _Host())

    def _wait_turn(self, url: str, host: "_Host") -> None:
        if host.closed_until > time.monotonic():
            raise FetchError(f"{url}: its host asked to be left alone for longer than max_pause")
        if host.last is None:
            return
        pause = max(self.manners.pause, min(host.delay, self.manners.max_pause))
        if (wait := host.last + pause - time.monotonic()) > 0:
            self._sleep(wait)


@dataclass(slots=True)
class _Errand:
    """What one ``get`` carries from hop to hop and from try to try."""

    left: float  # seconds until its deadline
    secret: Secret = NO_SECRET
    known: Answer | None = None


@dataclass(slots=True)
class _Host:
    """What is known of one host. The lock is held for one request, and never two locks at once."""

    lock: Lock = field(default_factory=Lock)
    last: float | None = None  # when the last request to it ended, as ``time.monotonic`` counts
    delay: float = 0.0  # seconds that its robots.txt asks for
    closed_until: float = 0.0  # as ``time.monotonic`` counts
    line: wire.Line | None = None
    line_to: str = ""  # the origin at its other end


class _Passing(FetchError):
    """A failure that may be gone at the next try."""

    def __init__(self, message: str, *, status: int | None = None, excerpt: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, status=status, excerpt=excerpt)
        self.retry_after = retry_after  # seconds that the server asked for


def _validators(known: Answer | None) -> dict[str, str]:
    """The headers that ask whether ``known`` is still right; RFC 9110, section 13.1."""
    headers = known.headers if known else {}
    names = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    return {name: headers[source] for name, source in names.items() if source in headers}


def _hider(secret: Secret) -> Callable[[str], str]:
    """What takes the values of ``secret`` out of a text, plain and as they stand in an address."""
    values = [*secret.headers.values(), *secret.query.values()]
    forms = [each for value in values for each in (value, value.split(" ")[-1], urlencode({"": value})[1:])]

    def hide(text: str) -> str:
        for form in forms:
            text = text.replace(form, LEFT_OUT) if len(form) > GUESSABLE else text
        return text

    return hide


def _seconds(retry_after: str, now: float) -> float:
    """How long ``Retry-After`` asks to wait, in seconds or until a date; RFC 9110, section 10.2.3. 0 for nonsense."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _next_hop(answer: Answer) -> str:
    """Where a redirect leads; only to http and https."""
    location = answer.headers.get("location", "")
    try:
        url = urljoin(answer.url, location)
        if urlsplit(url).scheme not in addresses.PORTS:
            shown = addresses.without_user(url)
            raise FetchError(f"{answer.url}: redirects to {shown!r}, which is neither http nor https", lasting=True)
        return addresses.clean(url)
    except ValueError:
        shown = addresses.without_user(location)
        raise FetchError(f"{answer.url}: redirects to {shown!r}, which is no address", lasting=True) from None


def _without(url: str, secret: Secret) -> str:
    """``url`` less what a server repeats of the secret's query when it redirects."""
    if not secret.query:
        return url
    address = urlsplit(url)
    kept = [part for part in address.query.split("&") if part.partition("=")[0] not in secret.query]
    return urlunsplit(address._replace(query="&".join(kept)))
