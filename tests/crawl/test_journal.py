"""The journal: nobody is asked twice while an answer is fresh, and nothing broken is served again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import pytest

from stages.crawl import site
from stages.crawl.journal import Journal
from stages.errors import FetchError, RobotsDenied
from stages.web.client import Client, Secret

URL = f"http://{site.HOST}/a"


@pytest.fixture
def asked(counted, manners, tmp_path):
    """A served page, and a journal over it: gives what makes a journal, and the count of requests for the page."""
    pages = counted({"/a": site.Resource(body=b"here", type="text/plain")})
    with site.served(pages) as address:
        client = Client(manners(), connect_to={site.HOST: address})
        yield lambda hours=1.0: Journal(client, tmp_path / "journal", fresh_hours=hours), lambda: pages.asked["/a"]


def files(folder, kind):
    return [path for path in (folder / "journal" / kind).rglob("*") if path.is_file()]


def test_a_second_journal_over_the_folder_remembers_the_answer(asked):
    journal, count = asked
    first = journal().get(URL)
    assert journal().get(URL) == first
    assert (first.body, first.url, first.status, first.headers["content-type"]) == (b"here", URL, 200, "text/plain")
    assert count() == 1


def test_an_answer_that_is_too_old_is_asked_for_again(asked, tmp_path):
    journal, count = asked
    journal().get(URL)
    (entry,) = files(tmp_path, "answers")
    os.utime(entry, (time.time() - 3601,) * 2)
    journal().get(URL)
    assert count() == 2
    os.utime(entry, (time.time() - 3500,) * 2)
    journal().get(URL)
    assert count() == 2


def test_no_hours_remember_nothing(asked):
    journal, count = asked
    journal(0.0).get(URL)
    journal(0.0).get(URL)
    assert count() == 2


@pytest.mark.parametrize("damage", [lambda body: body.unlink(), lambda body: body.write_bytes(b"other")])
def test_a_body_that_was_lost_or_changed_is_asked_for_again(asked, tmp_path, damage):
    journal, count = asked
    journal().get(URL)
    (body,) = files(tmp_path, "bodies")
    damage(body)
    assert journal().get(URL).body == b"here"
    assert count() == 2


def test_a_lasting_fault_is_remembered_while_it_is_fresh(asked, tmp_path):
    journal, _ = asked
    url = f"http://{site.HOST}/b"
    for _ in range(2):
        with pytest.raises(FetchError, match="answered 404") as caught:
            journal().get(url)
        assert (caught.value.status, caught.value.excerpt) == (404, "not here")
    (entry,) = files(tmp_path, "answers")
    os.utime(entry, (time.time() - 3601,) * 2)
    with pytest.raises(FetchError, match="answered 404"):
        journal().get(url)


@pytest.fixture
def over(counted, manners, tmp_path):
    """A journal over pages of one's own; gives what makes it, and the pages that count."""

    def make(pages, **others):
        counting = counted(pages)
        address = stack.enter_context(site.served(counting))
        client = Client(manners(retries=0, **others), connect_to={site.HOST: address}, sleep=lambda _: None)
        return Journal(client, tmp_path / "journal", fresh_hours=1.0), counting

    with ExitStack() as stack:
        yield make


def test_a_lasting_fault_is_asked_for_once(over):
    journal, pages = over({})
    for _ in range(3):
        with pytest.raises(FetchError, match="answered 404"):
            journal.get(URL)
    assert pages.asked["/a"] == 1


def test_a_fault_that_may_pass_is_asked_for_again(over):
    journal, pages = over({"/a": site.Resource(body=b"here", type="text/plain", stumbles=2)})
    for _ in range(2):
        with pytest.raises(FetchError, match="answered 500"):
            journal.get(URL)
    assert journal.get(URL).body == b"here"
    assert pages.asked["/a"] == 3


def test_what_was_too_large_is_asked_for_again_only_with_another_limit(over):
    pages = {"/a": site.Resource(body=b"x" * 2000, type="text/plain")}
    strict, counted_strictly = over(pages, max_bytes=1000)
    for _ in range(2):
        with pytest.raises(FetchError, match="more than 1,000 bytes"):
            strict.get(URL)
    assert counted_strictly.asked["/a"] == 1
    wide, counted_widely = over(pages, max_bytes=3000)
    assert len(wide.get(URL).body) == 2000
    assert counted_widely.asked["/a"] == 1


def test_a_fault_that_a_key_may_cure_is_asked_for_again(over):
    journal, pages = over({})
    for _ in range(2):
        with pytest.raises(FetchError, match="answered 404"):
            journal.get(URL, secret=Secret(headers={"Authorization": "Bearer abc123xyz"}))
    assert pages.asked["/a"] == 2


def test_what_robots_txt_forbids_is_not_remembered_as_a_fault(over, tmp_path):
    journal, _ = over({"/robots.txt": site.Resource(body=b"User-agent: *\nDisallow: /\n", type="text/plain")})
    with pytest.raises(RobotsDenied):
        journal.get(URL)
    assert files(tmp_path, "answers") == []


def test_equal_bodies_of_different_addresses_are_kept_once(over, tmp_path):
    same = site.Resource(body=b"here", type="text/plain")
    journal, _ = over({"/a": same, "/b": same})
    journal.get(URL)
    journal.get(f"http://{site.HOST}/b")
    assert len(files(tmp_path, "answers")) == 2
    assert len(files(tmp_path, "bodies")) == 1


def test_spellings_of_one_address_are_one(asked, tmp_path):
    journal, count = asked
    for url in (URL, f"{URL}#part", URL.replace("sample", "SAMPLE"), URL.replace("//", "//me:secret@")):
        journal().get(url)
    assert len(files(tmp_path, "answers")) == count() == 1


def test_a_secret_stands_nowhere_in_the_folder(asked, tmp_path):
    journal, _ = asked
    secret = Secret(headers={"Authorization": "Bearer abc123xyz"}, query={"key": "abc123xyz"})
    with pytest.raises(FetchError):
        journal().get(f"http://{site.HOST}/gone", secret=secret)
    journal().get(URL, secret=Secret(headers={"Authorization": "Bearer abc123xyz"}))
    for file in (tmp_path / "journal").rglob("*"):
        assert "abc123xyz" not in file.name
        assert file.is_dir() or b"abc123xyz" not in file.read_bytes()


@contextmanager
def validating(tag):
    """A server that answers 304 to ``tag``: gives its address, what it was asked with, and what it has now."""
    asked, now = [], {"tag": tag, "body": b"old"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path == "/robots.txt":
                self._answer(404, b"")
                return
            asked.append((self.path, self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")))
            fresh = self.headers.get("If-None-Match") == now["tag"]
            self._answer(304 if fresh else 200, b"" if fresh else now["body"])

        def _answer(self, status, body):
            self.send_response(status)
            self.send_header("ETag", now["tag"])
            self.send_header("Last-Modified", "Wed, 21 Oct 2026 07:28:00 GMT")
            self.send_header("X-Robots-Tag", now.get("robots", "all"))
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a", asked, now
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_old_is_asked_for_by_its_tag_and_its_body_serves_again(manners, tmp_path):
    with validating('"one"') as (url, asked, now):
        client = Client(manners(retries=0))
        journal = Journal(client, tmp_path / "journal", fresh_hours=0.0)
        assert journal.get(url).body == b"old"
        now["robots"] = "noai"  # headers may change where the body does not
        again = journal.get(url)
        assert (again.body, again.status, again.headers["x-robots-tag"]) == (b"old", 200, "noai")
        now |= {"tag": '"two"', "body": b"new"}
        assert journal.get(url).body == b"new"
        client.close()
    stamp = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert asked == [("/a", None, None), ("/a", '"one"', stamp), ("/a", '"one"', stamp)]


def test_a_body_that_was_lost_is_not_asked_for_by_its_tag(manners, tmp_path):
    with validating('"one"') as (url, asked, _):
        client = Client(manners(retries=0))
        journal = Journal(client, tmp_path / "journal", fresh_hours=0.0)
        journal.get(url)
        (body,) = files(tmp_path, "bodies")
        body.unlink()
        assert journal.get(url).body == b"old"
        client.close()
    assert [tag for _, tag, _ in asked] == [None, None]


class Hosts:
    """Several hosts at one server that counts who is asked at the same time."""

    def __init__(self, delay):
        self.delay = delay
        self.now = self.most = 0
        self.same_host = False
        self.by_host = Counter()
        self.order = []
        self.lock = Lock()

    def look(self, host, path):
        if path != "/robots.txt":
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
                self.same_host |= self.by_host[host] > 0
                self.by_host[host] += 1
                self.order.append(f"{host}{path}")
            time.sleep(self.delay)
            with self.lock:
                self.now -= 1
                self.by_host[host] -= 1


@pytest.fixture
def many(manners, tmp_path):
    """A journal over as many hosts as one likes, all at one slow server."""

    class Slow(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self):
            hosts.look(self.headers["Host"], self.path)
            body = b"" if self.path == "/robots.txt" else f"{self.headers['Host']}{self.path}".encode()
            self.send_response(404 if self.path in ("/robots.txt", "/gone") else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    hosts = Hosts(0.02)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    client = Client(manners(retries=0), connect_to={f"h{n}.test": address for n in range(40)})
    yield Journal(client, tmp_path / "journal", fresh_hours=1.0), hosts
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_many_answers_come_in_the_order_they_were_asked_for(many):
    journal, _ = many
    urls = [f"http://h{n % 7}.test/{n}" for n in range(60)]
    assert [answer.body.decode() for answer in journal.get_all(urls)] == [url.removeprefix("http://") for url in urls]


def test_hosts_are_asked_side_by_side_and_each_one_by_one(many):
    journal, hosts = many
    assert len(list(journal.get_all(f"http://h{n % 10}.test/{n}" for n in range(100)))) == 100
    assert not hosts.same_host
    assert 4 <= hosts.most <= 10


def test_of_one_host_addresses_are_asked_for_in_their_order(many):
    journal, hosts = many
    urls = [f"http://h{n % 3}.test/{n}" for n in range(30)]
    list(journal.get_all(urls))
    for host in range(3):
        asked = [each for each in hosts.order if each.startswith(f"h{host}.")]
        assert asked == [url.removeprefix("http://") for url in urls if f"//h{host}." in url]


def test_faults_stand_among_the_answers(many):
    journal, _ = many
    first, second, third = journal.get_all(["http://h1.test/gone", "http://h1.test/a", "mailto:x"])
    assert (isinstance(first, FetchError), second.body, isinstance(third, FetchError)) == (True, b"h1.test/a", True)


def test_addresses_are_read_no_further_ahead_than_allowed(many, monkeypatch):
    monkeypatch.setattr("stages.crawl.journal.AHEAD", 5)
    journal, _ = many
    taken = 0

    def urls():
        nonlocal taken
        for n in range(50):
            taken += 1
            yield f"http://h{n}.test/{n}" if n < 40 else "http://h0.test/x"

    answers = journal.get_all(urls())
    for done in range(1, 11):
        next(answers)
        assert taken <= done + 5
    answers.close()
    assert taken < 20


def test_a_bug_is_raised_where_its_answer_is_taken(many, monkeypatch):
    journal, _ = many
    monkeypatch.setattr(journal, "_kept", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(journal.get_all(["http://h1.test/a"]))


CRAWL = """
import sys
from pathlib import Path
from stages.crawl.journal import Journal
from stages.web.client import Client, Manners
address, folder = sys.argv[1:]
manners = Manners(agent="Darkroom", contact="none", pause=0.0, max_pause=1.0, timeout=5.0, deadline=30.0,
                  max_bytes=5_000_000, retries=1, backoff=0.0, private=True)
client = Client(manners, connect_to={f"h{n}.test": address for n in range(4)})
journal = Journal(client, Path(folder), fresh_hours=1.0)
for answer in journal.get_all(f"http://h{n % 4}.test/{n}" for n in range(80)):
    print(answer.url, flush=True)
"""


@pytest.mark.slow
def test_a_crawl_that_is_killed_anywhere_asks_again_for_no_more_than_was_under_way(many, tmp_path):
    _, hosts = many
    address = many[0]._client._connect_to["h0.test"]
    command = [sys.executable, "-c", CRAWL, address, str(tmp_path / "killed")]
    kills = 0
    for lines in (1, 2, 9, 30):
        crawl = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with crawl:
            for _ in range(lines):
                crawl.stdout.readline()
            crawl.send_signal(signal.SIGKILL)
        kills += 1
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 80
    times = Counter(hosts.order)
    assert len(times) == 80
    assert sum(count - 1 for count in times.values()) <= 4 * kills  # one of each host may have been under way
    before = hosts.order.copy()
    subprocess.run(command, capture_output=True, check=True)
    assert hosts.order == before
