"""A platform on loopback that answers as its API's documentation says, and what a source brings of it."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest

from stages.crawl.sources import Found, Missed, Visit

PICTURE = b"\xff\xd8 a picture"
SIGNALS = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")  # of the site, which has none
FILES = ("/pictures/", "/download/")


class Platform:
    """``routes`` maps a path to what answers a query: a status and JSON or bytes, or JSON alone. Counts what is asked."""

    def __init__(self, routes):
        self.routes = routes
        self.asked = []  # path and query of each request for what is no picture
        self.headers = []
        self.base = ""

    def answer(self, path, query, headers):
        if path in SIGNALS:
            return 404, b""
        if path.startswith(FILES):
            self.asked.append((path, {}))
            return (404, b"") if "gone" in path else (200, PICTURE + path.encode())
        self.asked.append((path, query))
        self.headers.append(headers)
        if path not in self.routes:
            return 404, b"not here"
        given = self.routes[path](query)
        return given if isinstance(given, tuple) else (200, given)

    def pages(self):
        """Of the requests those to the API."""
        return [(path, query) for path, query in self.asked if not path.startswith(FILES)]


@contextmanager
def served(platform):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self):
            address = urlsplit(self.path)
            status, body = platform.answer(address.path, dict(parse_qsl(address.query)), dict(self.headers))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            kind = "image/jpeg" if address.path.startswith(FILES) else "application/json"
            self.send_header("Content-Type", "text/html" if content.startswith(b"<html") else kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    platform.base = f"http://127.0.0.1:{server.server_port}"
    try:
        yield platform
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def platform():
    """Start a platform of given routes; all are stopped at the end."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda routes: stack.enter_context(served(Platform(routes)))


@pytest.fixture
def asked_of(manners, tmp_path):
    """What a source brings: all of it, or the first ``most`` as if it were killed then."""

    def ask(source, most=None, fresh_hours=1.0, requests=(), **others):
        brought = []
        visit = Visit(
            manners=manners(**({"retries": 1} | others)), own=tmp_path, fresh_hours=fresh_hours, requests=requests
        )
        for each in source(visit):
            brought.append(each)
            if len(brought) == most:
                break
        found = [each for each in brought if isinstance(each, Found)]
        return found, [each for each in brought if isinstance(each, Missed)]

    return ask
