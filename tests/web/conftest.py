"""A little server that answers as each test says and remembers what it was asked."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stages.web.client import Manners


@dataclass
class Server:
    """Where it listens, and what it was asked."""

    address: str
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address}"


Reply = tuple[int, dict[str, str], bytes]


@contextmanager
def listening(reply: Callable[[str, int], Reply | Callable]):
    """Serve ``reply(path, how often it was asked)``: an answer, or what writes one to the open file itself."""
    server = Server(address="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self):
            server.asked.append(self.path)
            server.headers.append(dict(self.headers))
            answer = reply(self.path, server.asked.count(self.path))
            if callable(answer):
                self.close_connection = True
                answer(self.wfile)
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    listener.handle_error = lambda *_: None  # a client that leaves early is no fault of the server
    server.address = f"127.0.0.1:{listener.server_port}"
    thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@pytest.fixture
def serve():
    """Start ``listening`` for one test; it ends with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda reply: stack.enter_context(listening(reply))


@pytest.fixture
def manners():
    """The manners of a client in a hurry; give others to change them."""

    def make(**others):
        values = {"agent": "Darkroom", "contact": "https://example.org/darkroom", "pause": 0.0, "max_pause": 60.0}
        values |= {
            "timeout": 5.0,
            "deadline": 5.0,
            "max_bytes": 1_000_000,
            "retries": 2,
            "backoff": 0.0,
            "private": True,
        }
        return Manners(**(values | others))

    return make
