"""The client against a real server on loopback; it sleeps where the test can see it."""

import gzip
import time
import traceback

import pytest

from stages.errors import ConfigError, FetchError, RobotsDenied
from stages.web.client import EXCERPT, REDIRECTS, Client, Manners, Secret

OK = (200, {"Content-Type": "text/html"}, b"here")
NOT_FOUND = (404, {}, b"not here")
BROKEN = (500, {}, b"sorry")


def to(location, status=302):
    return status, {"Location": location}, b""


def site(pages, robots=NOT_FOUND):
    """What answers each of ``pages`` as it says, and everything else with 404."""
    return lambda path, _: robots if path == "/robots.txt" else pages.get(path, NOT_FOUND)


def rules(text):
    return 200, {"Content-Type": "text/plain"}, text.encode()


def dripping(head):
    """What writes ``head`` and then a byte every tenth of a second, for ten seconds."""

    def drip(file):
        file.write(head)
        try:
            for _ in range(100):
                file.write(b"x")
                file.flush()
                time.sleep(0.1)
        except OSError:
            return  # the client has left

    return drip


def client(manners, sleep=lambda _: None, **connect):
    return Client(manners, sleep=sleep, **connect)


def test_an_answer_has_its_address_status_headers_and_body(serve, manners):
    server = serve(site({"/a": (200, {"Content-Type": "text/plain", "X-Robots-Tag": "noai"}, b"here")}))
    answer = client(manners()).get(f"{server.url}/a")
    assert (answer.url, answer.status, answer.body) == (f"{server.url}/a", 200, b"here")
    assert answer.headers["x-robots-tag"] == "noai"
    assert answer.headers["content-type"] == "text/plain"


def test_robots_txt_is_asked_first_and_once(serve, manners):
    server = serve(site({"/a": OK, "/b": OK}))
    one = client(manners())
    one.get(f"{server.url}/a")
    one.get(f"{server.url}/b")
    assert server.asked == ["/robots.txt", "/a", "/b"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_robots_txt_that_answers_4xx_allows_everything(serve, manners, status):
    server = serve(site({"/a": OK}, robots=(status, {}, b"User-agent: *\nDisallow: /\n")))
    assert client(manners()).get(f"{server.url}/a").body == b"here"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_robots_txt_that_answers_5xx_or_429_forbids_everything(serve, manners, status):
    server = serve(site({"/a": OK}, robots=(status, {}, b"")))
    with pytest.raises(FetchError, match="cannot be had"):
        client(manners(retries=1)).get(f"{server.url}/a")
    assert server.asked == ["/robots.txt"] * 2


def test_a_host_that_does_not_answer_forbids_everything(serve, manners):
    server = serve(lambda *_: lambda file: file.write(b""))
    with pytest.raises(FetchError, match="cannot be had"):
        client(manners(retries=0)).get(f"{server.url}/a")


def test_a_robots_txt_that_is_too_large_forbids_everything(serve, manners):
    server = serve(site({"/a": OK}, robots=rules("#" * 2000)))
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        client(manners(max_bytes=1000)).get(f"{server.url}/a")


def test_a_redirect_of_robots_txt_is_followed(serve, manners):
    pages = {"/a": OK, "/rules": rules("User-agent: *\nDisallow: /a\n")}
    server = serve(site(pages, robots=to("/rules", 301)))
    with pytest.raises(RobotsDenied, match="forbids it"):
        client(manners()).get(f"{server.url}/a")
    assert server.asked == ["/robots.txt", "/rules"]


def test_a_robots_txt_that_redirects_without_end_counts_as_none(serve, manners):
    server = serve(site({"/a": OK}, robots=to("/robots.txt")))
    assert client(manners()).get(f"{server.url}/a").body == b"here"
    assert server.asked == ["/robots.txt"] * (REDIRECTS + 1) + ["/a"]


def test_a_forbidden_path_is_never_requested(serve, manners):
    server = serve(site({"/a": OK, "/b/c": OK}, robots=rules("User-agent: *\nDisallow: /b/\n")))
    one = client(manners())
    assert one.get(f"{server.url}/a").status == 200
    with pytest.raises(RobotsDenied, match=r"/b/c\?d=e: robots.txt forbids it"):
        one.get(f"{server.url}/b/c?d=e")
    assert server.asked == ["/robots.txt", "/a"]


def test_the_group_of_the_clients_own_name_counts(serve, manners):
    server = serve(site({"/a": OK}, robots=rules("User-agent: Darkroom\nDisallow: /\nUser-agent: *\nDisallow:\n")))
    with pytest.raises(RobotsDenied):
        client(manners()).get(f"{server.url}/a")
    assert client(manners(agent="Other")).get(f"{server.url}/a").status == 200


def test_a_query_is_part_of_what_robots_txt_is_asked_for(serve, manners):
    server = serve(site({"/a": OK, "/a?b": OK}, robots=rules("User-agent: *\nDisallow: /*?\n")))
    assert client(manners()).get(f"{server.url}/a").status == 200
    with pytest.raises(RobotsDenied):
        client(manners()).get(f"{server.url}/a?b")


def test_between_two_requests_to_a_host_lies_the_pause(serve, manners):
    server, slept = serve(site({"/a": OK, "/b": OK})), []
    one = client(manners(pause=7.0), sleep=slept.append)
    one.get(f"{server.url}/a")
    one.get(f"{server.url}/b")
    assert len(slept) == 2  # before /a, since robots.txt was a request, too, and before /b
    assert all(6.0 < pause <= 7.0 for pause in slept)


def test_the_first_request_to_a_host_waits_for_nothing(serve, manners):
    one_server, other, slept = serve(site({"/a": OK})), serve(site({"/a": OK})), []
    one = client(manners(pause=7.0), sleep=slept.append)
    one.get(f"{one_server.url}/a")
    one.get(f"{other.url}/a")
    assert len(slept) == 2  # one pause for each host, between its robots.txt and its page


def test_a_longer_crawl_delay_is_kept(serve, manners):
    server, slept = serve(site({"/a": OK}, robots=rules("User-agent: *\nCrawl-delay: 20\n"))), []
    client(manners(pause=7.0), sleep=slept.append).get(f"{server.url}/a")
    assert len(slept) == 1
    assert 19.0 < slept[0] <= 20.0


def test_a_host_that_asks_for_more_than_the_longest_pause_is_left_alone(serve, manners):
    server = serve(site({"/a": OK}, robots=rules("User-agent: *\nCrawl-delay: 61\n")))
    with pytest.raises(RobotsDenied, match="61 s between requests, more than max_pause"):
        client(manners(max_pause=60.0)).get(f"{server.url}/a")
    assert server.asked == ["/robots.txt"]


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_passing_fault_is_tried_again(serve, manners, status):
    server = serve(lambda path, time: NOT_FOUND if path == "/robots.txt" else OK if time == 3 else (status, {}, b""))
    assert client(manners(retries=2)).get(f"{server.url}/a").body == b"here"
    assert server.asked == ["/robots.txt", "/a", "/a", "/a"]


def test_a_lasting_fault_is_raised_after_the_last_try(serve, manners):
    server = serve(site({"/a": BROKEN}))
    with pytest.raises(FetchError, match="/a: answered 500"):
        client(manners(retries=2)).get(f"{server.url}/a")
    assert server.asked.count("/a") == 3


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_is_not_there_is_asked_for_once(serve, manners, status):
    server = serve(site({"/a": (status, {}, b"")}))
    with pytest.raises(FetchError, match=f"answered {status}") as caught:
        client(manners(retries=2)).get(f"{server.url}/a")
    assert not isinstance(caught.value, RobotsDenied)
    assert server.asked.count("/a") == 1


def test_the_wait_before_a_retry_doubles(serve, manners):
    server, slept = serve(site({"/a": BROKEN})), []
    with pytest.raises(FetchError):
        client(manners(retries=3, backoff=2.0), sleep=slept.append).get(f"{server.url}/a")
    assert slept == [2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("after", "waited"),
    [
        ("5", 5.0),
        ("1", 2.0),
        ("60", 60.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 2.0),
        ("Wed, 99 Oct 2026", 2.0),
        ("-3", 2.0),
    ],
)
def test_retry_after_is_honoured_up_to_the_longest_pause(serve, manners, after, waited):
    busy, slept = (503, {"Retry-After": after}, b""), []
    server = serve(lambda path, time: NOT_FOUND if path == "/robots.txt" else OK if time == 2 else busy)
    client(manners(backoff=2.0), sleep=slept.append, now=lambda: 1792567680.0).get(f"{server.url}/a")
    assert slept == [waited]


@pytest.mark.parametrize("after", ["61", "9999999999999", "Wed, 21 Oct 2026 08:28:00 GMT"])
def test_a_host_that_says_to_come_back_after_more_than_the_longest_pause_is_left_alone(serve, manners, after):
    server = serve(site({"/a": (429, {"Retry-After": after}, b""), "/b": OK}))
    one = client(manners(), now=lambda: 1792567680.0)
    with pytest.raises(FetchError, match="answered 429"):
        one.get(f"{server.url}/a")
    with pytest.raises(FetchError, match="left alone for longer than max_pause"):
        one.get(f"{server.url}/b")
    assert server.asked == ["/robots.txt", "/a"]


def test_a_connection_that_breaks_off_is_tried_again(serve, manners):
    def cut(file):
        file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    server = serve(lambda path, time: NOT_FOUND if path == "/robots.txt" else OK if time == 2 else cut)
    assert client(manners()).get(f"{server.url}/a").body == b"here"


def test_half_an_answer_is_no_answer(serve, manners):
    def cut(file):
        file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    server = serve(site({"/a": cut}))
    with pytest.raises(FetchError, match=r"broke off after 9 bytes"):
        client(manners(retries=0)).get(f"{server.url}/a")


def test_a_chunked_answer_is_put_together(serve, manners):
    def chunks(file):
        file.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhere\r\n5\r\n it i\r\n1\r\ns\r\n0\r\n\r\n"
        )

    assert client(manners()).get(f"{serve(site({'/a': chunks})).url}/a").body == b"here it is"


def test_an_answer_of_just_the_limit_is_taken_and_of_a_byte_more_refused(serve, manners):
    server = serve(site({"/a": (200, {}, b"x" * 1000), "/b": (200, {}, b"x" * 1001)}))
    one = client(manners(max_bytes=1000))
    assert len(one.get(f"{server.url}/a").body) == 1000
    with pytest.raises(FetchError, match="more than 1,000 bytes; raise max_bytes"):
        one.get(f"{server.url}/b")


def test_the_limit_counts_decoded_bytes(serve, manners):
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 30_000
    server = serve(site({"/a": (200, {"Content-Encoding": "gzip"}, bomb)}))
    with pytest.raises(FetchError, match="more than 1,000,000 bytes"):
        client(manners(max_bytes=1_000_000)).get(f"{server.url}/a")
    assert server.asked.count("/a") == 1


def test_a_compressed_answer_is_decoded(serve, manners):
    server = serve(site({"/a": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"here" * 100))}))
    assert client(manners()).get(f"{server.url}/a").body == b"here" * 100


def test_an_answer_that_is_not_compressed_as_it_says_is_a_fault(serve, manners):
    server = serve(site({"/a": (200, {"Content-Encoding": "gzip"}, b"no gzip at all")}))
    with pytest.raises(FetchError, match="broke off"):
        client(manners(retries=0)).get(f"{server.url}/a")


def test_a_dripping_server_meets_the_deadline(serve, manners):
    server = serve(site({"/a": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")}))
    started = time.monotonic()
    with pytest.raises(FetchError, match=r"not done after 0.5 s; raise deadline"):
        client(manners(deadline=0.5)).get(f"{server.url}/a")
    assert 0.5 <= time.monotonic() - started < 3.0
    assert server.asked.count("/a") == 1


def test_a_silent_server_meets_the_timeout(serve, manners):
    server = serve(site({"/a": lambda _: time.sleep(0.6)}))
    with pytest.raises(FetchError, match="the connection failed or broke off"):
        client(manners(timeout=0.2, retries=0)).get(f"{server.url}/a")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(serve, manners, status):
    server = serve(site({"/a": to("b/c?d", status), "/b/c?d": OK}))
    answer = client(manners()).get(f"{server.url}/a")
    assert (answer.url, answer.body) == (f"{server.url}/b/c?d", b"here")


def test_as_many_redirects_as_allowed_are_followed_and_one_more_is_not(serve, manners):
    server = serve(site({f"/{n}": to(f"/{n + 1}") for n in range(REDIRECTS + 1)} | {f"/{REDIRECTS + 1}": OK}))
    assert client(manners()).get(f"{server.url}/1").body == b"here"
    with pytest.raises(FetchError, match="more than 5 redirects"):
        client(manners()).get(f"{server.url}/0")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "data:text/html,x", "javascript:1"])
def test_a_redirect_to_anything_but_the_web_is_refused(serve, manners, location):
    server = serve(site({"/a": to(location)}))
    with pytest.raises(FetchError, match="neither http nor https"):
        client(manners()).get(f"{server.url}/a")


def test_the_body_of_a_redirect_meets_the_limit_of_bytes(serve, manners):
    bomb = gzip.compress(b"\0" * 20_000_000)
    server = serve(site({"/a": (302, {"Location": "/b", "Content-Encoding": "gzip"}, bomb), "/b": OK}))
    with pytest.raises(FetchError, match="more than 1,000,000 bytes"):
        client(manners(max_bytes=1_000_000)).get(f"{server.url}/a")


def test_the_body_of_a_redirect_meets_the_deadline(serve, manners):
    server = serve(
        site({"/a": dripping(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 100\r\n\r\n"), "/b": OK})
    )
    with pytest.raises(FetchError, match=r"not done after 0.5 s"):
        client(manners(deadline=0.5)).get(f"{server.url}/a")


def test_no_cookie_is_sent_back(serve, manners):
    server = serve(site({"/a": (200, {"Set-Cookie": "who=you"}, b"")}))
    one = client(manners())
    one.get(f"{server.url}/a")
    one.get(f"{server.url}/a")
    assert all("Cookie" not in headers for headers in server.headers)


@pytest.mark.parametrize("location", ["http://[", "http://"])
def test_a_redirect_to_no_address_is_a_fault_and_no_crash(serve, manners, location):
    server = serve(site({"/a": to(location)}))
    with pytest.raises(FetchError):
        client(manners()).get(f"{server.url}/a")


def test_a_redirect_into_a_forbidden_path_is_refused(serve, manners):
    server = serve(site({"/a": to("/b/c"), "/b/c": OK}, robots=rules("User-agent: *\nDisallow: /b/\n")))
    with pytest.raises(RobotsDenied, match=r"/b/c: robots.txt forbids it"):
        client(manners()).get(f"{server.url}/a")
    assert server.asked == ["/robots.txt", "/a"]


def test_a_redirect_to_another_host_asks_that_hosts_robots_txt(serve, manners):
    other = serve(site({"/b": OK}, robots=rules("User-agent: *\nDisallow: /\n")))
    server = serve(site({"/a": to(f"{other.url}/b")}))
    with pytest.raises(RobotsDenied):
        client(manners()).get(f"{server.url}/a")
    assert other.asked == ["/robots.txt"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "http:///a", "mailto:x", "", "http://["])
def test_only_addresses_of_the_web_are_fetched(manners, url):
    with pytest.raises(FetchError):
        client(manners()).get(url)


@pytest.mark.parametrize("host", ["a" * 70 + ".test", "127.0.0.1:99999", ".test"])
def test_a_host_that_cannot_be_is_a_fault_and_no_crash(manners, host):
    with pytest.raises(FetchError):
        client(manners(retries=0)).get(f"http://{host}/")


def test_another_address_may_stand_for_a_host_and_nobody_sees_it(serve, manners):
    server = serve(site({"/a": to("/b"), "/b": OK}))
    one = client(manners(), connect_to={"sample.test": server.address})
    answer = one.get("http://sample.test/a")
    assert answer.url == "http://sample.test/b"
    assert [headers["Host"] for headers in server.headers] == ["sample.test"] * 3


def test_a_fault_names_the_public_address(serve, manners):
    one = client(manners(), connect_to={"sample.test": serve(site({})).address})
    with pytest.raises(FetchError, match=r"^http://sample.test/a: answered 404"):
        one.get("http://sample.test/a")


def test_the_client_says_who_it_is_and_whom_to_write_to(serve, manners):
    server = serve(site({"/a": OK}))
    client(manners(agent="My-Crawler", contact="me@example.org")).get(f"{server.url}/a")
    assert [headers["User-Agent"] for headers in server.headers] == ["My-Crawler/1.0 (+me@example.org)"] * 2


KEY = Secret(headers={"Authorization": "Bearer abc123"}, query={"api_key": "abc123"})


def test_a_secret_is_sent_and_stands_nowhere_in_the_answer(serve, manners):
    server = serve(site({"/a?q=1&api_key=abc123": OK}))
    answer = client(manners()).get(f"{server.url}/a?q=1", secret=KEY)
    assert server.asked == ["/robots.txt", "/a?q=1&api_key=abc123"]
    assert [headers.get("Authorization") for headers in server.headers] == [None, "Bearer abc123"]
    assert answer.url == f"{server.url}/a?q=1"
    assert "abc123" not in repr(answer) + repr(KEY)


def test_a_secret_follows_a_redirect_within_its_host_and_not_to_another(serve, manners):
    other = serve(site({"/c": OK}))
    server = serve(lambda path, _: to("/b?api_key=abc123") if path.startswith("/a") else to(f"{other.url}/c"))
    answer = client(manners()).get(f"{server.url}/a", secret=KEY, ask_robots=False)
    assert server.asked == ["/a?api_key=abc123", "/b?api_key=abc123"]
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer abc123"] * 2
    assert all("Authorization" not in headers for headers in other.headers)
    assert (answer.url, other.asked) == (f"{other.url}/c", ["/robots.txt", "/c"])


@pytest.mark.parametrize("answer", [BROKEN, lambda file: file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")])
def test_a_secret_stands_in_no_fault(serve, manners, answer):
    server = serve(lambda *_: answer)
    with pytest.raises(FetchError) as caught:
        client(manners(retries=0)).get(f"{server.url}/a", secret=KEY, ask_robots=False)
    assert "abc123" not in "".join(traceback.format_exception(caught.value))


def test_an_error_of_an_api_has_its_status_and_the_head_of_its_body(serve, manners):
    server = serve(lambda *_: (403, {}, b'{"error": "no such key"}' + b"x" * 10_000))
    with pytest.raises(FetchError) as caught:
        client(manners()).get(f"{server.url}/a", secret=KEY, ask_robots=False)
    assert caught.value.status == 403
    assert caught.value.excerpt.startswith('{"error": "no such key"}')
    assert len(caught.value.excerpt) <= EXCERPT
    assert server.asked == ["/a?api_key=abc123"]


def test_a_fault_without_an_answer_has_no_status(serve, manners):
    server = serve(lambda *_: lambda file: file.write(b""))
    with pytest.raises(FetchError) as caught:
        client(manners(retries=0)).get(f"{server.url}/a", ask_robots=False)
    assert (caught.value.status, caught.value.excerpt) == (None, "")


def test_no_proxy_of_the_environment_is_used(serve, manners, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert client(manners()).get(f"{serve(site({'/a': OK})).url}/a").body == b"here"


def test_manners_without_a_contact_or_with_a_wrong_token_are_refused(manners):
    from dataclasses import asdict

    from stages.config import check

    values = asdict(manners())
    assert check(values, Manners, where="manners") == manners()
    for wrong in ({"contact": ""}, {"agent": "Dark room/1"}, {"pause": -1.0}, {"max_bytes": 0}, {"speed": 1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            check(values | wrong, Manners, where="manners")
