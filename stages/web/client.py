"""The client: the one place that opens a connection to the web.

It asks robots.txt before anything else of a host, waits between two requests to a host, tries again what failed for
a moment, follows redirects itself (each hop is asked of robots.txt, too), and stops at a limit of time and of bytes.
Only http and https; one request at a time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import urllib3
from pydantic import Field
from requests.adapters import HTTPAdapter

from stages.config import settings
from stages.errors import FetchError, RobotsDenied
from stages.web import robots

REDIRECTS = 5  # RFC 9309, section 2.3.1.2, asks for at least five
CHUNK = 64 * 1024  # bytes
EXCERPT = 2000  # bytes of the body of an answer that is an error


@settings
class Manners:
    """How the client behaves towards the sites it visits."""

    agent: Annotated[str, Field(pattern=r"^[A-Za-z_-]+$")]  # product token that robots.txt is asked for
    contact: Annotated[str, Field(min_length=3)]  # a page or a mail address for the people who run the sites
    pause: Annotated[float, Field(ge=0)]  # seconds between two requests to one host; robots.txt may ask for more
    max_pause: Annotated[float, Field(gt=0)]  # seconds; a host that asks for more is left alone
    timeout: Annotated[float, Field(gt=0)]  # seconds without a byte
    deadline: Annotated[float, Field(gt=0)]  # seconds for one answer, all of it
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
    ) -> None:
        self._manners = manners
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies, no netrc: what is fetched does not depend on them
        self._session.headers["User-Agent"] = f"{manners.agent}/1.0 (+{manners.contact})"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _ConnectTo(connect_to or {}))
        self._robots: dict[str, robots.Robots | FetchError] = {}
        self._last: dict[str, float] = {}

    def get(self, url: str, *, secret: Secret = NO_SECRET, ask_robots: bool = True) -> Answer:
        """What ``url`` answers, redirects followed.

        ``secret`` goes to the host of ``url`` and to no other. ``ask_robots=False`` is for addresses of a documented
        API, whose terms stand in place of robots.txt.

        Raises:
            RobotsDenied: when robots.txt forbids it, or asks for a longer pause than ``max_pause``.
            FetchError: when robots.txt cannot be had, or the answer is an error, too large, too slow, or redirects too often.
        """
        home = _origin(url)
        for _ in range(REDIRECTS + 1):
            if ask_robots or _origin(url) != home:
                self._ask_leave(url)
            answer = self._patiently(url, secret if _origin(url) == home else NO_SECRET)
            if not 300 <= answer.status < 400:
                return answer
            url = _without(_next_hop(answer), secret)
        raise FetchError(f"{url}: more than {REDIRECTS} redirects")

    def _ask_leave(self, url: str) -> None:
        origin = _origin(url)
        if origin not in self._robots:
            self._robots[origin] = self._fetch_robots(origin)
        rules = self._robots[origin]
        if isinstance(rules, FetchError):
            raise FetchError(f"{url}: robots.txt cannot be had, so nothing may be fetched ({rules})")
        if not rules.allows(_target(url)):
            raise RobotsDenied(f"{url}: robots.txt forbids it")
        if rules.delay > self._manners.max_pause:
            raise RobotsDenied(f"{url}: robots.txt asks for {rules.delay:g} s between requests, more than max_pause")

    def _fetch_robots(self, origin: str) -> robots.Robots | FetchError:
        """RFC 9309, section 2.3.1: 4xx allows everything; 5xx and no answer, given as an error, forbid everything."""
        url = f"{origin}/robots.txt"
        try:
            for _ in range(REDIRECTS + 1):
                answer = self._patiently(url)
                if not 300 <= answer.status < 400:
                    return robots.parse(answer.body, self._manners.agent)
                url = _next_hop(answer)
        except _StatusError as error:
            return robots.EVERYTHING if 400 <= error.status < 500 and error.status != 429 else error
        except FetchError as error:
            return error
        return robots.EVERYTHING  # section 2.3.1.2: too many redirects count as unavailable

    def _patiently(self, url: str, secret: Secret = NO_SECRET) -> Answer:
        wait = self._manners.backoff
        for attempt in range(self._manners.retries + 1):
            try:
                return self._once(url, secret)
            except (_BrokenOff, _StatusError) as error:
                if attempt == self._manners.retries or not _passing(error):
                    raise
                self._sleep(min(max(wait, getattr(error, "retry_after", 0.0)), self._manners.max_pause))
                wait *= 2
        raise AssertionError("the loop returns or raises")

    def _once(self, url: str, secret: Secret) -> Answer:
        self._wait_turn(url)
        started = time.monotonic()
        try:
            with self._send(url, secret) as response:
                if response.status_code >= 400:
                    raise _status_error(url, response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = self._body(url, response, started)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _BrokenOff(f"{url}: {type(error).__name__}: the connection failed or broke off") from None
        finally:
            self._last[_origin(url)] = time.monotonic()
        return Answer(url=url, status=response.status_code, headers=headers, body=body)

    def _send(self, url: str, secret: Secret) -> requests.Response:
        """One request, past ``Session.send``: that reads the body of a redirect to its end, without any limit."""
        bare = requests.Request("GET", url, params=dict(secret.query), headers=dict(secret.headers))
        request = self._session.prepare_request(bare)
        return self._session.get_adapter(url).send(request, stream=True, timeout=self._manners.timeout)

    def _body(self, url: str, response: requests.Response, started: float) -> bytes:
        """The decoded body, read in what comes, so that a dripping server meets the deadline."""
        limit = self._manners.max_bytes
        body = bytearray()
        while True:
            try:
                part = response.raw.read1(CHUNK, decode_content=True)
            except (OSError, urllib3.exceptions.HTTPError) as error:
                raise _BrokenOff(f"{url}: broke off after {len(body)} bytes ({type(error).__name__})") from error
            if not part:
                return bytes(body)
            body += part
            if len(body) > limit:
                raise FetchError(f"{url}: more than {limit:,} bytes; raise max_bytes if that is meant to be")
            if time.monotonic() - started > self._manners.deadline:
                raise FetchError(
                    f"{url}: not done after {self._manners.deadline:g} s; raise deadline if that is meant to be"
                )

    def _wait_turn(self, url: str) -> None:
        origin = _origin(url)
        rules = self._robots.get(origin)
        asked = rules.delay if isinstance(rules, robots.Robots) else 0.0
        pause = max(self._manners.pause, min(asked, self._manners.max_pause))
        due = self._last.get(origin, -pause) + pause
        if (wait := due - time.monotonic()) > 0 and origin in self._last:
            self._sleep(wait)


class _BrokenOff(FetchError):
    """There was no answer, or not all of it."""


class _StatusError(FetchError):
    """An answer with a status of 400 or more."""

    status: int

    def __init__(self, message: str, *, status: int, excerpt: str, retry_after: float) -> None:
        super().__init__(message, status=status, excerpt=excerpt)
        self.retry_after = retry_after  # seconds that the server asked for


class _ConnectTo(HTTPAdapter):
    """Sends the requests for some hosts to another address, and keeps their names in all that is seen of them."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        super().__init__()
        self._addresses = addresses

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        address = urlsplit(request.url or "")
        if address.netloc not in self._addresses:
            return super().send(request, *args, **kwargs)
        named = request.copy()
        named.url = urlunsplit(address._replace(netloc=self._addresses[address.netloc]))
        named.headers["Host"] = address.netloc
        response = super().send(named, *args, **kwargs)
        response.url, response.request = request.url or "", request
        return response


def _status_error(url: str, response: requests.Response) -> _StatusError:
    after = response.headers.get("Retry-After", "")
    message = f"{url}: answered {response.status_code} {response.reason}"
    seconds = float(after) if after.isdecimal() else 0.0
    excerpt = response.raw.read1(EXCERPT, decode_content=True).decode("utf-8", errors="replace")
    return _StatusError(message, status=response.status_code, excerpt=excerpt, retry_after=seconds)


def _passing(error: FetchError) -> bool:
    """Whether the failure may be gone at the next try."""
    return not isinstance(error, _StatusError) or error.status == 429 or error.status >= 500


def _next_hop(answer: Answer) -> str:
    """Where a redirect leads; only to http and https."""
    location = answer.headers.get("location", "")
    try:
        url = urljoin(answer.url, location)
    except ValueError:
        raise FetchError(f"{answer.url}: redirects to {location!r}, which is no address") from None
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{answer.url}: redirects to {url!r}, which is neither http nor https")
    return url


def _without(url: str, secret: Secret) -> str:
    """``url`` less what a server repeats of the secret's query when it redirects."""
    if not secret.query:
        return url
    address = urlsplit(url)
    kept = [part for part in address.query.split("&") if part.partition("=")[0] not in secret.query]
    return urlunsplit(address._replace(query="&".join(kept)))


def _origin(url: str) -> str:
    try:
        address = urlsplit(url)
    except ValueError:
        raise FetchError(f"{url}: not an address") from None
    if address.scheme not in ("http", "https") or not address.hostname:
        raise FetchError(f"{url}: only http and https addresses are fetched")
    return f"{address.scheme}://{address.netloc}"


def _target(url: str) -> str:
    address = urlsplit(url)
    return (address.path or "/") + (f"?{address.query}" if address.query else "")
