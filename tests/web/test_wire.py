"""Connections: to public addresses and no others, and never longer or larger than they may be."""

import gzip
import socket
import threading
import time

import pytest

from stages.errors import FetchError
from stages.web import wire
from stages.web.client import Client

OK = (200, {}, b"here")
NOWHERE = (404, {}, b"")

PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "192.0.0.1",
    "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "100::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001:800::200e",
    "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_somebodys_inside_is_not_public(address):
    assert not wire.public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert wire.public(address)


@pytest.fixture
def guarded(manners):
    """A client that may visit public addresses only; give the table of its name server."""

    def make(names=None, **others):
        look_up = (lambda host, _: names[host]) if names else wire.look_up
        return Client(manners(private=False, retries=0, **others), look_up=look_up, sleep=lambda _: None)

    return make


def served(serve, pages):
    return serve(lambda path, _: pages.get(path, NOWHERE))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]"]
)
def test_no_spelling_of_this_machine_is_asked_for_anything(serve, guarded, host):
    server = served(serve, {"/a": OK})
    port = server.address.split(":")[1]
    with pytest.raises(FetchError, match=r"no public address|the connection failed|know no such host"):
        guarded().get(f"http://{host}:{port}/a")
    assert server.asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"])
def test_a_name_that_leads_inside_is_refused(guarded, address):
    with pytest.raises(FetchError, match=r"its name leads to no public address; set crawl\.manners\.private=true"):
        guarded({"a.test": [address]}).get("http://a.test/")


def test_a_private_network_may_be_visited_where_that_is_said(serve, manners):
    server = served(serve, {"/a": OK})
    assert Client(manners(private=True)).get(f"{server.url}/a").body == b"here"


def test_what_stands_for_a_host_may_be_private_and_a_redirect_from_it_may_not(serve, manners):
    inside = served(serve, {"/secret": OK})
    front = served(serve, {"/a": OK, "/b": (302, {"Location": f"{inside.url}/secret"}, b"")})
    client = Client(manners(private=False, retries=0), connect_to={"sample.test": front.address})
    assert client.get("http://sample.test/a").body == b"here"
    with pytest.raises(FetchError, match="no public address"):
        client.get("http://sample.test/b")
    assert inside.asked == []


def test_a_name_is_looked_up_once_for_a_connection_and_its_second_answer_finds_no_way_in(serve, manners):
    server, asked = served(serve, {"/a": OK}), []

    def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    client = Client(manners(private=True), look_up=rebinding)
    url = f"http://rebinding.test:{server.address.split(':')[1]}/a"
    client.get(url)
    client.get(url)
    assert asked == ["rebinding.test"]
    assert [headers["Host"].split(":")[0] for headers in server.headers] == ["rebinding.test"] * 3


def test_a_name_that_turns_private_between_two_connections_is_refused(serve, manners, monkeypatch):
    server = serve(lambda path, _: (200, {"Connection": "close"}, b"here"))
    port = int(server.address.split(":")[1])
    monkeypatch.setattr(wire, "public", lambda address: address == "127.0.0.1")  # stands for a public one
    answers = iter([["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]])
    client = Client(manners(private=False, retries=0), look_up=lambda *_: next(answers))
    client.get(f"http://rebinding.test:{port}/a")
    with pytest.raises(FetchError, match="no public address"):
        client.get(f"http://rebinding.test:{port}/a")
    assert server.asked == ["/robots.txt", "/a"]


def test_of_several_addresses_only_public_ones_are_tried(guarded, monkeypatch):
    called = []
    monkeypatch.setattr(wire, "_dialled", lambda address, *_: called.append(address) or (_ for _ in ()).throw(OSError))
    with pytest.raises(FetchError, match="the connection failed"):
        guarded({"a.test": ["10.0.0.1", "1.1.1.1", "::1", "8.8.8.8"]}).get("http://a.test/")
    assert called == ["1.1.1.1", "8.8.8.8"]


def test_a_name_server_that_is_silent_meets_the_timeout(manners):
    client = Client(manners(retries=0, timeout=0.1), look_up=lambda *_: time.sleep(0.5) or ["127.0.0.1"])
    started = time.monotonic()
    with pytest.raises(FetchError, match="the name servers do not answer"):
        client.get("http://a.test/")
    assert time.monotonic() - started < 0.45


def test_a_name_that_nobody_knows_is_a_fault(manners):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(FetchError, match="know no such host"):
        Client(manners(retries=0), look_up=unknown).get("http://a.test/")


def drip(head, byte=b"x", pause=0.02):
    def write(file):
        file.write(head)
        try:
            for _ in range(200):
                file.write(byte)
                file.flush()
                time.sleep(pause)
        except OSError:
            return

    return write


ZEROS = gzip.compress(b"\0" * 20_000_000)
HEAD = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {  # what is answered, and the reason that is given
    "headers that drip": (drip(HEAD + b"X-A: "), r"not done after 0.4 s; raise deadline"),
    "a status that drips": (drip(b"HTTP/1.1 200 "), "not done after 0.4 s"),
    "interim answers without end": (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "not done after 0.4 s"),
    "a body that drips": (drip(HEAD + b"Content-Length: 1000\r\n\r\n"), "not done after 0.4 s"),
    "chunks that drip": (drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), "not done after 0.4 s"),
    "trailers without end": (
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n"),
        "not done after 0.4 s",
    ),
    "silence": (lambda _: time.sleep(0.8), "nothing came for 0.3 s"),
    "too many headers": (lambda file: file.write(HEAD + b"X-A: b\r\n" * 100_000), "sent more than 100 headers"),
    "a header too long": (lambda file: file.write(HEAD + b"X-A: " + b"b" * 70_000), r"broke off \(LineTooLong\)"),
    "a body without end": (lambda file: file.write(HEAD + b"\r\n" + b"x" * 5_000_000), "more than 1,000,000 bytes"),
    "a length too large": ((200, {"Content-Length": "5000000"}, b"x"), "more than 1,000,000 bytes"),
    "a bomb": ((200, {"Content-Encoding": "gzip"}, ZEROS), "more than 1,000,000 bytes"),
    "a length too long": (lambda file: file.write(HEAD + b"Content-Length: 9\r\n\r\nx"), "broke off after 1 bytes"),
    "half of what was packed": (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1000)[:-9]),
        "broke off after",
    ),
    "an encoding not asked for": ((200, {"Content-Encoding": "br"}, b"x"), "encoded as 'br', which nobody asked for"),
    "no HTTP": (lambda file: file.write(b"SSH-2.0-OpenSSH\r\n"), r"broke off \(BadStatusLine\)"),
    "a chunk that is none": (
        lambda file: file.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        r"broke off \(IncompleteRead\)",
    ),
    "nothing": (lambda file: file.write(b""), "closed without an answer"),
    "304 to no question": ((304, {}, b""), "answered 304 to a question that nobody asked"),
    "an answer to everybody else": ((429, {"Retry-After": "900"}, b""), "answered 429"),
}


@pytest.mark.parametrize(("answer", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_ends_in_time_and_with_its_own_reason(serve, manners, answer, reason):
    server = serve(lambda path, _: NOWHERE if path == "/robots.txt" else answer)
    client = Client(manners(retries=0, timeout=0.3, deadline=0.4))
    started = time.monotonic()
    with pytest.raises(FetchError, match=reason):
        client.get(f"{server.url}/a")
    assert time.monotonic() - started < 1.4
    assert set(server.asked) == {"/robots.txt", "/a"}


def test_the_deadline_is_for_all_hops_and_tries_together(serve, manners):
    def slowly(path, _):
        time.sleep(0.15)
        return (302, {"Location": f"{path}x"}, b"")

    client = Client(manners(retries=3, deadline=0.4))
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"not done after 0\.4 s"):
        client.get(f"{serve(slowly).url}/a", ask_robots=False)
    assert time.monotonic() - started < 0.8


def test_a_length_too_short_is_believed_and_what_follows_is_no_answer_to_the_next_request(serve, manners):
    def long(file):
        file.write(HEAD + b"Content-Length: 4\r\n\r\nhere" + HEAD + b"Content-Length: 4\r\n\r\nevil")
        file.flush()
        time.sleep(0.1)

    server = serve(lambda path, _: {"/a": long, "/b": (200, {}, b"good")}.get(path, NOWHERE))
    client = Client(manners())
    assert client.get(f"{server.url}/a").body == b"here"
    assert client.get(f"{server.url}/b").body == b"good"


def counting(pages):
    """A server that counts its connections: gives its address and the count."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened = []

    def talk(sock):
        with sock:
            while head := sock.recv(65536):
                path = head.split()[1].decode()
                sock.sendall(pages.get(path, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"))

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            opened.append(sock)
            threading.Thread(target=talk, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener, opened


def whole(body, head=HEAD):
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_one_connection_serves_all_requests_to_a_host(manners):
    listener, opened = counting({f"/{n}": whole(b"here") for n in range(5)})
    with listener:
        client = Client(manners())
        for n in range(5):
            client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/{n}")
        client.close()
    assert len(opened) == 1


def test_threads_share_one_connection_to_a_host(manners):
    listener, opened = counting({"/a": whole(b"here" * 1000)})
    with listener:
        client, url = Client(manners()), f"http://127.0.0.1:{listener.getsockname()[1]}/a"
        threads = [threading.Thread(target=client.get, args=(url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    assert len(opened) == 1


def test_a_connection_that_was_closed_in_between_is_made_anew_without_a_try_lost(serve, manners):
    server = serve(lambda path, _: lambda file: file.write(whole(b"here")))  # closes after each answer without a word
    client = Client(manners(retries=0))
    assert [client.get(f"{server.url}/{n}").body for n in range(3)] == [b"here"] * 3


def test_an_interim_answer_is_passed_over(serve, manners):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    server = serve(lambda path, _: lambda file: file.write(early + whole(b"here")))
    assert Client(manners()).get(f"{server.url}/a", ask_robots=False).body == b"here"


def test_repeated_headers_are_joined_but_those_that_would_change(serve, manners):
    head = HEAD + b"Vary: a\r\nVary: b\r\nX-Robots-Tag: one: noai\r\nX-Robots-Tag: noai\r\n"
    server = serve(lambda path, _: lambda file: file.write(whole(b"", head)))
    headers = Client(manners()).get(f"{server.url}/a", ask_robots=False).headers
    assert (headers["vary"], headers["x-robots-tag"]) == ("a, b", "one: noai\nnoai")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate"])
def test_what_is_packed_is_unpacked(serve, manners, encoding):
    import zlib

    body = zlib.compress(b"here" * 999) if encoding == "deflate" else gzip.compress(b"here" * 999)
    server = serve(lambda path, _: (200, {"Content-Encoding": encoding}, body))
    assert Client(manners()).get(f"{server.url}/a", ask_robots=False).body == b"here" * 999


def test_a_server_whose_certificate_nobody_vouches_for_is_a_fault(serve, manners, tmp_path):
    server = served(serve, {})
    with pytest.raises(FetchError, match=r"the connection failed \(SSL"):
        Client(manners(retries=0)).get(f"https://{server.address}/a", ask_robots=False)
