"""The crawler's figures, measured on servers of this machine: ``python benchmarks/crawling.py [hostile] [speed]``.

    hostile   servers that mean harm, each in a process of its own: seconds until the client gives up, the memory that it
              took meanwhile, the reason it gives; and how many requests reached an address that is not public
    speed     pictures a second and CPU seconds from 20 hosts that answer after 50 ms, pace 0, journal and signals included

``--peer PYTHON`` measures img2dataset, installed for that interpreter, on the same servers and the same list. Threads of
the server and of the client share the machine, for both alike.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server, socket
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

DEADLINE = 3.0  # seconds
MAX_BYTES = 10_000_000
HOSTS, PICTURES, LATENCY = 20, 600, 0.05  # seconds
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"


@cache
def _bomb() -> bytes:
    """300 MB of zeros, packed a megabyte at a time."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(300)) + packer.flush()


def _drip(sock: socket, head: bytes, byte: bytes) -> None:
    sock.sendall(head)
    while True:
        sock.sendall(byte)
        time.sleep(0.1)


def _endless(sock: socket, head: bytes, piece: bytes) -> None:
    sock.sendall(head)
    while True:
        sock.sendall(piece)


HOSTILE: dict[str, Callable[[socket], None]] = {
    "slow headers": lambda sock: _drip(sock, HEAD + b"X-A: ", b"x"),
    "slow body": lambda sock: _drip(sock, HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "slow chunks": lambda sock: _drip(sock, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "endless body": lambda sock: _endless(sock, HEAD + b"\r\n", b"x" * 65536),
    "endless headers": lambda sock: _endless(sock, HEAD, b"X-A: b\r\n" * 1000),
    "endless trailers": lambda sock: _endless(
        sock, HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1000
    ),
    "100,000 headers": lambda sock: sock.sendall(HEAD + b"X-A: b\r\n" * 100_000 + b"\r\n"),
    "redirect ring": lambda sock: sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"),
    "redirect to a private address": lambda sock: sock.sendall(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % TRAP
    ),
    "redirect to a rebinding name": lambda sock: sock.sendall(
        b"HTTP/1.1 302 Found\r\nLocation: http://rebinding.test:%d/\r\nContent-Length: 0\r\n\r\n" % TRAP
    ),
    "gzip bomb": lambda sock: sock.sendall(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_bomb()) + _bomb()
    ),
    "length too long": lambda sock: sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\nshort"),
    "length too short": lambda sock: sock.sendall(HEAD + b"Content-Length: 5\r\n\r\nshort, and more"),
    "wrong type": lambda sock: sock.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>"
    ),
    "429": lambda sock: sock.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 315360000\r\nContent-Length: 0\r\n\r\n"),
    "silence": lambda _: time.sleep(60),
}
TRAP = 0  # the port of the listener that nobody may reach


def hostile() -> None:
    """Print one line for each hostile server; the client asks it in a process of its own."""
    global TRAP  # noqa: PLW0603 - known once the listener stands
    reached: list[bytes] = []
    with _listening(lambda _, head: reached.append(head)) as trap:
        TRAP = trap
        for name, answer in HOSTILE.items():
            with _listening(_after_robots(answer)) as port:
                command = [sys.executable, __file__, "--ask", str(port)]
                said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout
            found = json.loads(said)
            good = found["seconds"] <= DEADLINE + 1 and found["megabytes"] < 50
            print(
                f"{name:32} {found['seconds']:5.2f} s  +{found['megabytes']:4.1f} MB  {'' if good else '!! '}{found['reason']}"
            )
    print(f"requests that reached a private address: {len(reached)}")


def ask(port: int) -> None:
    """Ask the server at ``port``, as ``hostile.test``, for one picture; print what came of it as JSON."""
    from stages.crawl import media
    from stages.errors import FetchError
    from stages.web import wire
    from stages.web.client import Client, Manners

    manners = Manners(**_manners(private=False, max_pause=60.0))
    wire.public = lambda address: address == "127.0.0.2"  # stands for a public address: no real one is bothered
    names = iter([["127.0.0.2"], ["127.0.0.1"]])
    client = Client(manners, connect_to={"hostile.test": f"127.0.0.1:{port}"}, look_up=lambda *_: next(names))
    client.robots("http://hostile.test/")
    before, started = _memory("VmRSS"), time.monotonic()
    try:
        answer = client.get("http://hostile.test/a")
        reason = f"answered, {len(answer.body)} bytes" if media.kind(answer) else "answered, and is no picture"
    except FetchError as error:
        reason = str(error)
    seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "megabytes": _memory("VmHWM") - before, "reason": reason}))


def speed(peer: str) -> None:
    """Print pictures a second and CPU seconds for the same list of addresses, ours and the peer's."""
    with tempfile.TemporaryDirectory() as folder, _pictures() as ports:
        listed = Path(folder) / "urls.txt"
        listed.write_text("\n".join(f"http://127.0.0.1:{ports[n % HOSTS]}/{n}.jpg" for n in range(PICTURES)))
        _timed("darkroom", [sys.executable, __file__, "--crawl", str(listed), "--out", folder])
        if peer:
            command = [peer, "-c", "from img2dataset.main import main; main()"]
            options = {"url_list": listed, "output_folder": f"{folder}/peer", "input_format": "txt", "resize_mode": "no",
                       "processes_count": 1, "thread_count": HOSTS, "output_format": "webdataset", "retries": 0,
                       "enable_wandb": False}  # fmt: skip
            _timed("img2dataset", command + [f"--{name}={value}" for name, value in options.items()])
            done = sorted(Path(folder, "peer").glob("*_stats.json"))
            print("img2dataset brought", sum(json.loads(file.read_text())["successes"] for file in done))


def crawl(listed: Path, out: Path) -> None:
    """Bring all addresses in ``listed`` by the source ``urls``."""
    from stages.crawl.journal import Journal
    from stages.crawl.sources import Found, urls
    from stages.web.client import Client, Manners

    columns = urls.Columns(url="url", page="", licence="", author="", title="", caption="", credit="")
    config = urls.Config(path=str(listed), columns=columns, max_items=PICTURES)
    client = Client(Manners(**_manners(private=True, max_pause=1.0)))
    brought = list(urls.crawl(config, listed, Journal(client, out / "journal", fresh_hours=1.0)))
    client.close()
    print("darkroom brought", sum(isinstance(each, Found) for each in brought))


def _manners(**others: Any) -> dict[str, Any]:
    values = {"agent": "Darkroom", "contact": "https://example.org/darkroom", "pause": 0.0, "timeout": 2.0}
    return values | {"deadline": DEADLINE, "max_bytes": MAX_BYTES, "retries": 0, "backoff": 0.0} | others


def _timed(name: str, command: list[str]) -> None:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name:12} {PICTURES / seconds:6.1f} pictures/s  {seconds:5.1f} s  {cpu:5.1f} CPU s, start included",
        flush=True,
    )


def _memory(which: str) -> float:
    """MB that this program holds (VmRSS) or has held at most (VmHWM); ``ru_maxrss`` would count its parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def _after_robots(answer: Callable[[socket], None]) -> Callable[[socket, bytes], None]:
    """Answers robots.txt with 404 and everything else with ``answer``."""

    def talk(sock: socket, head: bytes) -> None:
        if head.startswith(b"GET /robots.txt"):
            sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            answer(sock)

    return talk


@contextmanager
def _listening(talk: Callable[[socket, bytes], None]) -> Iterator[int]:
    """A server that gives each connection's first bytes to ``talk``; gives its port."""

    def one(sock: socket) -> None:
        with sock:
            try:
                talk(sock, sock.recv(65536))
            except OSError:
                return  # the client has left

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    with create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def _pictures() -> Iterator[list[int]]:
    """``HOSTS`` servers of one real picture that answer after ``LATENCY``; gives their ports."""
    from stages import specimens
    from stages.images import encode_jpeg

    body = encode_jpeg(specimens.photograph("coffee"), quality=90)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            time.sleep(LATENCY)
            here = self.path.endswith(".jpg")
            self.send_response(200 if here else 404)
            self.send_header("Content-Type", "image/jpeg" if here else "text/plain")
            self.send_header("Content-Length", str(len(body) if here else 0))
            self.end_headers()
            self.wfile.write(body if here else b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(HOSTS)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield [server.server_port for server in servers]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def main() -> None:
    """Measure what the command line names; all of it when it names nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["hostile", "speed", []], default=[])
    parser.add_argument("--peer", default="", help="a Python that has img2dataset")
    parser.add_argument("--ask", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--crawl", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        ask(given.ask)
    elif given.crawl:
        crawl(given.crawl, given.out)
    else:
        if not given.what or "hostile" in given.what:
            hostile()
        if not given.what or "speed" in given.what:
            speed(given.peer)


if __name__ == "__main__":
    main()
