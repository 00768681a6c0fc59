"""One connection to one origin, and the requests that go over it one after the other.

A name is looked up once for a connection, and what is connected to is the very address that was checked: a name server
that answers otherwise the second time finds no second time. Every wait for the other side ends at the deadline, the
wait for headers, too. A body ends at a number of decoded bytes, and never more than a step of it is decoded at once.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import time
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Thread
from typing import Any, cast
from urllib.parse import urlsplit

import certifi

from stages.errors import FetchError
from stages.web.addresses import PORTS

STEP = 64 * 1024  # bytes that are read, and at most sixteen times as many that are decoded, before limits are looked at
ERROR_BYTES = 64 * 1024  # of the body of an answer that is an error; what follows is not read
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last four bytes
SITE_LOCAL = ipaddress.ip_network("fec0::/10")  # RFC 3879: deprecated, and still somebody's inside
APART = ("set-cookie", "x-robots-tag")  # headers that mean something else when a comma joins two of them
LookUp = Callable[[str, int], Sequence[str]]


class Refused(FetchError):
    """The name leads to no address that may be visited."""


class Broken(FetchError):
    """There was no answer, or not all of it; there may be one at the next try."""


class HungUp(Broken):
    """The other side closed a connection before it answered anything."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much the other side may take."""

    timeout: float  # seconds without a byte
    deadline: float  # seconds for all of it
    until: float  # when the deadline is reached, as ``time.monotonic`` counts
    max_bytes: int  # of the body, decoded

    def wait(self) -> float:
        """Seconds to wait for the next byte. Raises FetchError when the deadline is past."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise FetchError(f"not done after {self.deadline:g} s; raise deadline if that is meant to be")
        return min(self.timeout, left)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    reason: str
    headers: Mapping[str, str]  # names in lower case; repeated ones joined by ", ", those of APART by a line end
    body: bytes  # decoded; of an error only the head


def public(address: str) -> bool:
    """Whether ``address`` is one that anybody on the Internet may connect to; RFC 6890 and what hides inside IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1]):
            return public(str(inner))
        if ip in NAT64:
            return public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip in SITE_LOCAL:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def look_up(host: str, port: int) -> list[str]:
    """The addresses of ``host``, in the order of the system's resolver."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def connect(origin: str, limits: Limits, *, look_up: LookUp, private: bool) -> "Line":
    """A connection to ``origin``.

    Raises:
        Refused: when none of its addresses is public, unless ``private``.
        Broken: when there is none, or none that answers.
        FetchError: at the deadline.
    """
    address = urlsplit(origin)
    host, port = str(address.hostname), address.port or PORTS[address.scheme]
    allowed = [each for each in _in_time(look_up, host, port, limits) if private or public(each)]
    if not allowed:
        raise Refused(
            "its name leads to no public address; set crawl.manners.private=true if it is in a network of your own"
        )
    for number, each in enumerate(allowed, 1):
        try:
            sock = _dialled(each, port, limits)
            return Line(_tls().wrap_socket(sock, server_hostname=host) if address.scheme == "https" else sock)
        except OSError as error:
            if number == len(allowed):
                raise Broken(f"the connection failed ({type(error).__name__})") from None
    raise AssertionError("the loop returns or raises")


class Line:
    """One open connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._input = _Input(sock)
        self._reader = _Reader(self._input, STEP)
        self._open = True
        weakref.finalize(self, sock.close)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What ``http.client.HTTPResponse`` asks of a socket; always the same, so that nothing read ahead is lost."""
        return self._reader

    def usable(self) -> bool:
        """Whether another request may go over it: it is open, and nothing came that was not asked for."""
        return self._open and self._input.silent(self._reader)

    def ask(self, head: bytes, limits: Limits) -> Reply:
        """Send ``head``, the whole of a request without a body, and read what is answered.

        Raises:
            HungUp: when the connection was closed without an answer.
            Broken: when the answer is not whole or is none.
            FetchError: when it is too large, or at the deadline.
        """
        self._input.limits = limits
        try:
            self._sock.settimeout(limits.wait())
            self._sock.sendall(head)
            response = self._response()
            body = _body(response, limits)
        except FetchError:
            self.close()
            raise
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            self.close()
            raise _broken(error) from None
        if response.will_close or (response.fp is not None and response.length != 0):
            self.close()
        headers = _headers(response)
        return Reply(response.status, response.reason, headers, body)

    def close(self) -> None:
        """Hang up."""
        self._open = False
        self._sock.close()

    def _response(self) -> http.client.HTTPResponse:
        """The head of the answer; those of interim answers (status 1xx) are passed over."""
        while True:
            response = http.client.HTTPResponse(cast(Any, self), method="GET")
            response.begin()
            if response.status >= 200:
                return response


class _Input(io.RawIOBase):
    """The bytes that come over a socket; no read outlasts the limits."""

    limits: Limits

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._peeking = self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._peeking:
            return self._at_once(buffer)
        self._sock.settimeout(self.limits.wait())
        try:
            return self._sock.recv_into(buffer)
        except TimeoutError:
            self.limits.wait()  # at the deadline it has the better words
            raise Broken(f"the connection failed or broke off: nothing came for {self.limits.timeout:g} s") from None

    def silent(self, reader: io.BufferedReader) -> bool:
        """Whether nothing has come and nobody has hung up, now."""
        self._peeking = True
        try:
            return not reader.peek(1) and not self._ended
        except OSError:
            return False
        finally:
            self._peeking = False

    def _at_once(self, buffer: Any) -> int | None:
        self._sock.settimeout(0)
        try:
            count = self._sock.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        self._ended = count == 0
        return count


class _Reader(io.BufferedReader):
    """Outlives the answers that are read from it, each of which would close it."""

    def close(self) -> None:
        """Stay open: the connection is closed by its ``Line``."""


class _Decoder:
    """The decoded bytes of a body, in bounded steps; RFC 9110, section 8.4.1."""

    def __init__(self, encoding: str) -> None:
        self._inflate, self._begun = None, False
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, as the data say
        elif encoding not in ("", "identity"):
            raise FetchError(f"is encoded as {encoding[:40]!r}, which nobody asked for")

    def write(self, part: bytes, out: io.BytesIO, most: int) -> None:
        """Append what ``part`` decodes to; stops soon after ``out`` holds more than ``most``."""
        if self._inflate is None:
            out.write(part)
            return
        self._begun = True
        while part and not self._inflate.eof and out.tell() <= most:
            out.write(self._inflate.decompress(part, 16 * STEP))
            part = self._inflate.unconsumed_tail

    def whole(self) -> bool:
        return self._inflate is None or self._inflate.eof or not self._begun


def _body(response: http.client.HTTPResponse, limits: Limits) -> bytes:
    """The decoded body. Of an error the head is enough."""
    error = response.status >= 400
    most = min(limits.max_bytes, ERROR_BYTES) if error else limits.max_bytes
    decoder, out = _Decoder(response.headers.get("content-encoding", "").strip().lower()), io.BytesIO()
    announced = response.length or 0
    while (error or announced <= most) and out.tell() <= most and (part := response.read1(STEP)):
        decoder.write(part, out, most)
    if error:
        return out.getvalue()
    if max(announced, out.tell()) > most:
        raise FetchError(f"more than {most:,} bytes; raise max_bytes if that is meant to be", lasting=True)
    if response.length or not decoder.whole():
        raise Broken(f"broke off after {out.tell()} bytes")
    return out.getvalue()


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        known = headers.get(name.lower())
        between = "\n" if name.lower() in APART else ", "
        headers[name.lower()] = value if known is None else f"{known}{between}{value}"
    return headers


def _broken(error: Exception) -> Broken:
    """``error`` without its words: they may repeat what was sent, a secret among it."""
    if isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
        return HungUp("the connection failed or broke off: it was closed without an answer")
    if type(error) is http.client.HTTPException:
        return Broken("sent more than 100 headers")
    return Broken(f"the connection failed or broke off ({type(error).__name__})")


def _in_time(look_up: LookUp, host: str, port: int, limits: Limits) -> Sequence[str]:
    """What ``look_up`` finds; it is left behind where it takes longer than it may, since nothing can stop it."""
    found: list[Sequence[str]] = []

    def work() -> None:
        try:
            found.append(look_up(host, port))
        except (OSError, ValueError):  # unknown to the name servers, or no name at all
            found.append(())

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(limits.wait())
    if not found:
        raise Broken("the connection failed: the name servers do not answer")
    if not found[0]:
        raise Broken("the connection failed: the name servers know no such host")
    return found[0]


def _dialled(address: str, port: int, limits: Limits) -> socket.socket:
    """A socket that is connected to ``address`` and no other."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(limits.wait())
        sock.connect((address, port))
        _check_peer(sock, address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, FetchError):
        sock.close()
        raise
    return sock


def _check_peer(sock: socket.socket, address: str) -> None:
    if ipaddress.ip_address(sock.getpeername()[0]) != ipaddress.ip_address(address):
        raise Refused("another address answered than the one that was called")


@cache
def _tls() -> ssl.SSLContext:
    """The system's certificate authorities and, where it has none, those that travel with the package certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
