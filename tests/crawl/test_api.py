"""What the API sources share: keys, a budget that outlives a restart, pages asked for once, values of any shape."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from stages import machine
from stages.crawl import api, site
from stages.crawl.api import Api, Budget, Record, Stopped
from stages.crawl.sources import Found, Missed, Visit
from stages.errors import SourceError
from stages.records import Evidence, Request
from stages.web.client import Secret

ROOMY = 10**6


@pytest.fixture
def visit(manners, tmp_path):
    """What every source is given."""
    return lambda hours=1.0: Visit(manners=manners(retries=0), own=tmp_path, fresh_hours=hours)


@pytest.fixture
def page():
    """A resource of JSON."""
    return lambda value: site.Resource(
        body=value if isinstance(value, bytes) else json.dumps(value).encode(), type="application/json"
    )


def record(url, **others):
    values = {"page": "", "kind": "image", "alt": "", "title": "", "author": "", "credit": "", "licence": ""}
    return Record(url=url, where="api test", **(values | others))


def budget(units=ROOMY, hours=1, clock=time.time):
    return Budget("test", units=units, hours=hours, clock=clock)


def spent():
    return sum(json.loads((machine.cache("crawl/budgets") / "test.json").read_bytes()).values())


def test_a_missing_key_is_one_message_with_variable_and_place(monkeypatch):
    for given_key in (None, "", "  "):
        monkeypatch.delenv("DARKROOM_X_KEY", raising=False)
        if given_key is not None:
            monkeypatch.setenv("DARKROOM_X_KEY", given_key)
        with pytest.raises(SourceError, match=r"^DARKROOM_X_KEY: not set, .* get one at https://x.test and export it$"):
            api.key("DARKROOM_X_KEY", "https://x.test")
    monkeypatch.setenv("DARKROOM_X_KEY", " abc\n")
    assert api.key("DARKROOM_X_KEY", "") == api.optional_key("DARKROOM_X_KEY") == "abc"


def test_a_budget_that_is_just_met_is_allowed_and_one_unit_more_is_not():
    some = budget(units=150)
    some.spend("http://a.test/", 100)
    some.spend("http://a.test/", 50)
    with pytest.raises(Stopped, match="the budget of 150 units in 1 h is used up; run crawl again later"):
        some.spend("http://a.test/", 1)
    assert spent() == 150


def test_a_budget_counts_over_restarts_and_frees_itself_by_the_minute():
    now = [1_000_000.0]
    budget(units=2, clock=lambda: now[0]).spend("a", 1)
    now[0] += 1800
    budget(units=2, clock=lambda: now[0]).spend("a", 1)
    now[0] += 1800
    with pytest.raises(Stopped):
        budget(units=2, clock=lambda: now[0]).spend("a", 1)
    now[0] += 120
    budget(units=2, clock=lambda: now[0]).spend("a", 1)
    with pytest.raises(Stopped):
        budget(units=2, clock=lambda: now[0]).spend("a", 1)


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 5)), max_size=40))
def test_no_hour_ever_holds_more_than_the_budget(steps):
    now, log = [0.0], []
    (machine.cache("crawl/budgets") / "test.json").unlink(missing_ok=True)
    some = budget(units=7, clock=lambda: now[0])
    for wait, cost in steps:
        now[0] += wait
        try:
            some.spend("a", cost)
        except Stopped:
            continue
        log.append((now[0], cost))
    for start, _ in log:
        assert sum(cost for moment, cost in log if start <= moment < start + 3600) <= 7


def test_two_at_once_do_not_spend_the_same_unit():
    def spend(_):
        try:
            budget(units=20).spend("a", 1)
        except Stopped:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(60))) == 20


@pytest.mark.parametrize("harm", [b"", b"{", b"[]", b'{"a": 1}', b'{"1": null}', b"\xff"])
def test_a_damaged_count_is_no_count(harm):
    (machine.cache("crawl/budgets") / "test.json").write_bytes(harm)
    budget(units=1).spend("a", 1)
    assert spent() == 1


def test_a_page_is_asked_for_once_while_it_is_fresh_and_costs_once(counted, page, visit):
    pages = counted({"/p?q=a+b": page({"n": 1})})
    with site.served(pages) as address:
        for _ in range(2):
            assert Api("t", visit(), budget()).page(f"http://{address}/p", {"q": "a b"}, cost=100) == {"n": 1}
        assert (pages.asked["/p?q=a+b"], spent()) == (1, 100)
        Api("t", visit(0.0), budget()).page(f"http://{address}/p", {"q": "a b"}, cost=100)
    assert (pages.asked["/p?q=a+b"], spent()) == (2, 200)


def test_a_page_that_is_too_old_is_asked_for_again(counted, page, visit):
    pages = counted({"/p": page({"n": 1})})
    with site.served(pages) as address:
        Api("t", visit(), budget()).page(f"http://{address}/p")
        (entry,) = machine.cache("crawl/api-t").glob("*.json")
        os.utime(entry, (time.time() - 3601,) * 2)
        Api("t", visit(), budget()).page(f"http://{address}/p")
    assert pages.asked["/p"] == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"a"', b"{", b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_a_reason_and_is_not_remembered(counted, page, visit, body):
    pages = counted({"/p": page(body)})
    with site.served(pages) as address:
        for _ in range(2):
            with pytest.raises(Stopped, match="answers no JSON") as caught:
                Api("t", visit(), budget()).page(f"http://{address}/p")
    assert pages.asked["/p"] == 2
    assert caught.value.is_of_one


def test_an_error_that_the_api_tells_with_status_200_is_not_remembered(counted, page, visit):
    pages = counted({"/p": page({"stat": "fail"})})
    with site.served(pages) as address:
        for _ in range(2):
            with pytest.raises(Stopped, match="it failed"):
                Api("t", visit(), budget(), fault=lambda row: "it failed" if row["stat"] == "fail" else "").page(
                    f"http://{address}/p"
                )
    assert pages.asked["/p"] == 2


def test_an_api_is_not_asked_for_robots_txt(counted, page, visit):
    pages = counted(
        {"/p": page({}), "/robots.txt": site.Resource(body=b"User-agent: *\nDisallow: /", type="text/plain")}
    )
    with site.served(pages) as address:
        assert Api("t", visit(), budget()).page(f"http://{address}/p") == {}
    assert pages.asked["/robots.txt"] == 0


def test_a_key_stands_in_no_file_and_no_message(counted, page, visit):
    pages = counted({"/p?key=abc123": page({"n": 1})})
    secret = Secret(query={"key": "abc123"})
    with site.served(pages) as address:
        assert Api("t", visit(), budget(), secret=secret).page(f"http://{address}/p") == {"n": 1}
        with pytest.raises(Stopped) as caught:
            Api("t", visit(), budget(units=2), secret=secret).page(f"http://{address}/gone")
    assert "abc123" not in str(caught.value) + caught.value.address
    files = [path for path in machine.cache("crawl").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not any(b"abc123" in path.read_bytes() or "abc123" in path.name for path in files)


def test_a_remembered_page_that_was_damaged_is_asked_for_again(counted, page, visit):
    pages = counted({"/p": page({"n": 1})})
    with site.served(pages) as address:
        Api("t", visit(), budget()).page(f"http://{address}/p")
        (entry,) = machine.cache("crawl/api-t").glob("*.json")
        entry.write_bytes(b"{")
        assert Api("t", visit(), budget()).page(f"http://{address}/p") == {"n": 1}
    assert pages.asked["/p"] == 2


def test_a_refused_key_is_not_told_even_when_the_platform_does(monkeypatch):
    monkeypatch.setenv("DARKROOM_X_KEY", "abc123")
    with pytest.raises(SourceError, match=r"^DARKROOM_X_KEY: the platform refuses the key .no key … here.; .* x.test$"):
        api.refused("DARKROOM_X_KEY", "no key abc123 here", "x.test")


def test_the_pause_between_two_requests_is_kept_between_pages_and_pictures(counted, page, manners, tmp_path):
    pages = counted({"/p": page({}), "/a.jpg": site.Resource(body=b"1", type="image/jpeg")})
    slow = Visit(manners=manners(pause=0.15), own=tmp_path, fresh_hours=1.0)
    with site.served(pages) as address:
        one = Api("t", slow, budget())
        started = time.monotonic()
        one.page(f"http://{address}/p")
        list(one.fetch([record(f"http://{address}/a.jpg")]))  # robots.txt, then the picture
    assert time.monotonic() - started >= 0.3


def test_pictures_are_brought_with_all_that_is_said_and_robots_are_asked(counted, visit):
    robots = site.Resource(body=b"User-agent: *\nDisallow: /no", type="text/plain")
    image = site.Resource(body=b"picture", type="image/jpeg")
    html = site.Resource(body=b"<html>", type="text/html; charset=utf-8")
    pages = counted({"/robots.txt": robots, "/a.jpg": image, "/no/b.jpg": image, "/c.jpg": html})
    with site.served(pages) as address:
        base = f"http://{address}"
        records = [
            record(f"{base}/a.jpg", licence="CC0-1.0", page="http://a.test/", title="A"),
            record(f"{base}/no/b.jpg"),
        ]
        records += [record(f"{base}/c.jpg"), record(f"{base}/d.jpg"), record(f"{base}/a.jpg")]
        first, *others = api.bring(iter(records), Api("t", visit(), budget()).fetch, most=10)
    assert isinstance(first, Found)
    assert (first.body, first.page, first.title, first.consent) == (b"picture", "http://a.test/", "A", "")
    assert first.licence_evidence == (Evidence(where="api test", raw="CC0-1.0", scope="picture"),)
    assert [(each.url.removeprefix(base), each.reason, each.forbidden) for each in others] == [
        ("/no/b.jpg", "robots.txt forbids it", True),
        ("/c.jpg", "answers a text, no picture and no video", False),
        ("/d.jpg", "answered 404 Not Found", False),
    ]
    assert pages.asked["/a.jpg"] == 1
    assert pages.asked["/no/b.jpg"] == 0


def test_what_a_site_says_of_the_uses_of_a_picture_is_kept(counted, visit):
    robots = site.Resource(body=b"User-agent: *\nContent-Signal: ai-train=no\n", type="text/plain")
    pages = counted({"/robots.txt": robots, "/a.jpg": site.Resource(body=b"picture", type="image/jpeg")})
    with site.served(pages) as address:
        (brought,) = Api("t", visit(), budget()).fetch([record(f"http://{address}/a.jpg")])
    assert [(each.kind, each.verdict) for each in brought.signals] == [("content-signal", "deny")]


def refuse(records):
    return [Missed(url=each.url, reason="here", forbidden=False) for each in records]


def test_rows_keep_their_order_however_they_fall_into_batches(monkeypatch):
    monkeypatch.setattr(api, "BATCH", 3)
    rows = [
        record(f"http://a.test/{n}") if n % 3 else api.missed(f"http://a.test/{n}", "no address") for n in range(11)
    ]
    brought = list(api.bring(iter(rows), refuse, most=100))
    assert [each.url for each in brought] == [each.url for each in rows]


def test_no_more_are_brought_than_asked_for_and_no_row_beyond_is_looked_at():
    def rows():
        for number in range(3):
            yield record(f"http://a.test/{number}")
        raise AssertionError("looked too far")

    fetched = list(api.bring(rows(), refuse, most=3))
    assert len(fetched) == 3


def test_what_was_brought_before_a_stop_stays_and_the_rest_is_one_row():
    def rows():
        yield record("http://a.test/1")
        yield api.missed("http://a.test/2", "no address")
        raise Stopped("http://api.test/p", "the budget is used up")

    one, two, rest = api.bring(rows(), refuse, most=9)
    assert (one.reason, two.reason) == ("here", "no address")
    assert rest == Missed(url="http://api.test/p", reason="the budget is used up", forbidden=False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (" a\n b ", "a b"),
        (["a", None, "b"], "a, b"),
        (7, "7"),
        (True, ""),
        ({"a": 1}, ""),
        ("\ud800x", "?x"),
        (["\udfff", ["c"]], "?, c"),
    ],
)
def test_values_of_any_shape_become_text(value, words):
    assert api.text(value) == words


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ('<a href="//x">Ann</a>\n<b>B.</b>', "Ann B."),
        ("plain", "plain"),
        ("http://a.test/x", "http://a.test/x"),
        ("a.jpg", "a.jpg"),
        ("&lt;b&gt;", "<b>"),
        (None, ""),
        ("<![x[", ""),
        ({}, ""),
    ],
)
def test_words_are_taken_out_of_html(html, words):
    assert api.bare(html) == words


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://a.test/b", "https://a.test/b"),
        ("//a.test/b", "https://a.test/b"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("http://[", ""),
        ("http:///a", ""),
        (None, ""),
        (["http://a.test/"], "http://a.test/"),
    ],
)
def test_only_addresses_of_the_web_are_addresses(value, url):
    assert api.address(value) == url


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("17", 17), (None, 0), ("-1", 0), ("x", 0), ({}, 0), ("9" * 99, 0)]
)
def test_numbers_are_taken_as_they_come(value, number):
    assert api.number(value) == number


@how(max_examples=40)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each))
)
def test_rows_are_objects_whatever_stands_there(value):
    for page in (value, {"a": value}, {"a": {"b": value}}):
        if isinstance(page, dict):
            assert all(isinstance(each, dict) for each in api.rows(page, "a", "b") + api.rows(page, "a"))
    api.text(value).encode()
    api.address(value)


def test_what_no_page_shows_stands_for_its_own_page_for_only_files_have_none():
    assert api.found(record("http://a.test/a.jpg", alt="Ann Lee"), b"", ()).page == "http://a.test/a.jpg"
    assert api.found(record("http://a.test/a.jpg", page="http://a.test/"), b"", ()).page == "http://a.test/"


def test_a_later_search_brings_what_the_ones_before_did_not_and_as_much_as_is_asked_for():
    def fetch(records):
        return [each.url for each in records]

    first, second = ([record(f"/{number}") for number in numbers] for numbers in (range(3), range(1, 9)))
    assert list(api.bring_asked([(first, 2), (second, 3)], fetch)) == [each.url for each in (*first[:2], *second[1:4])]


def test_a_request_for_another_site_is_not_answered():
    asked = [Request(id=site, words=("a",), site=site, policy="own", count=1) for site in ("", "a.test", "b.test")]
    assert [each.site for each in api.answerable(asked, site="a.test")] == ["", "a.test"]
