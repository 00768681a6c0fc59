"""Openverse: answers in the form of its API, without and with a token, whole and with faults."""

import pytest

from stages import licences, tables
from stages.crawl import stage
from stages.crawl.sources.openverse import Config, build
from stages.errors import SourceError
from stages.records import Evidence, Failure, Item

BY = "https://creativecommons.org/licenses/by/2.0/"


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    """Whoever runs the tests may have one."""
    monkeypatch.delenv("DARKROOM_OPENVERSE_TOKEN", raising=False)


@pytest.fixture
def config():
    """The source's settings; give others to change them."""

    def make(base, **others):
        values = {"base": base, "search": "spiral galaxy", "licences": ("cc0", "by"), "sources": (), "page_size": 2}
        return Config(**(values | {"max_items": 100, "budget": 1000} | others))

    return make


def result(base, name, **others):
    """One result as the API gives it."""
    values = {"id": name, "title": f"Title {name}", "foreign_landing_url": f"{base}/{name}.html", "creator": "Ann"}
    values |= {"url": f"{base}/pictures/{name}.jpg", "license": "by", "license_version": "2.0", "license_url": BY}
    values |= {"attribution": f'"Title {name}" by Ann is licensed under CC BY 2.0.', "mature": False}
    return values | {"tags": [{"name": "galaxy", "accuracy": None}, {"name": "dog", "accuracy": 0.7}]} | others


@pytest.fixture
def openverse(platform):
    """An Openverse of pages of results."""

    def start(*pages):
        def answer(query):
            number = int(query["page"])
            results = pages[number - 1](server.base) if number <= len(pages) else []
            return {"result_count": 9, "page_count": len(pages), "page_size": 2, "page": number, "results": results}

        server = platform({"/v1/images/": answer})
        return server

    return start


def test_a_picture_is_brought_with_all_that_the_api_says_of_it(openverse, config, asked_of):
    server = openverse(lambda base: [result(base, "a")])
    (found,), missed = asked_of(build(config(server.base)))
    assert missed == []
    assert (found.url, found.page) == (f"{server.base}/pictures/a.jpg", f"{server.base}/a.html")
    assert (found.title, found.author, found.alt) == ("Title a", "Ann", "galaxy")
    assert found.credit == '"Title a" by Ann is licensed under CC BY 2.0.'
    assert found.licence_evidence == (Evidence(where="api openverse", raw=BY, scope="picture"),)


def test_it_asks_as_documented(openverse, config, asked_of):
    server = openverse(lambda _: [])
    asked_of(build(config(server.base, sources=("met", "flickr"))))
    ((_, query),) = server.asked
    assert query == {
        "q": "spiral galaxy",
        "license": "cc0,by",
        "mature": "false",
        "source": "met,flickr",
        "page_size": "2",
        "page": "1",
    }


def test_pages_are_read_to_the_last_and_not_beyond(openverse, config, asked_of):
    server = openverse(
        lambda base: [result(base, "b"), result(base, "a")], lambda base: [result(base, "a"), result(base, "c")]
    )
    found, _ = asked_of(build(config(server.base)))
    assert [each.url.rsplit("/", 1)[1] for each in found] == ["b.jpg", "a.jpg", "c.jpg"]
    assert [query["page"] for _, query in server.pages()] == ["1", "2"]


def test_no_page_is_asked_for_that_is_not_needed(openverse, config, asked_of):
    server = openverse(lambda base: [result(base, "a"), result(base, "b")], lambda base: [result(base, "c")])
    assert len(asked_of(build(config(server.base, max_items=2)))[0]) == 2
    assert len(server.pages()) == 1


@pytest.mark.parametrize(
    ("licence", "version", "raw"),
    [("by-sa", "4.0", "CC BY-SA 4.0"), ("cc0", "1.0", "CC0 1.0"), ("pdm", "1.0", "CC-PDM-1.0"), (None, None, None)],
)
def test_without_an_address_of_a_licence_its_code_is_the_evidence(openverse, config, asked_of, licence, version, raw):
    server = openverse(lambda base: [result(base, "a", license_url=None, license=licence, license_version=version)])
    (found,), _ = asked_of(build(config(server.base)))
    assert [each.raw for each in found.licence_evidence] == ([raw] if raw else [])
    assert all(licences.spdx(each.raw) for each in found.licence_evidence)


def test_a_row_of_any_shape_is_brought_or_missed(openverse, config, asked_of):
    server = openverse(
        lambda base: [
            {},
            {"id": "x", "url": None},
            [],
            result(base, "y", url="ftp://a.test/a.jpg"),
            result(base, "gone"),
            result(base, "z", tags=None, title=None, creator=7, attribution={}),
        ]
    )
    (found,), missed = asked_of(build(config(server.base)))
    assert (found.alt, found.title, found.author, found.credit) == ("", "", "7", "")
    assert [each.reason for each in missed] == ["the API names no address of the picture"] * 3 + [
        "answered 404 Not Found"
    ]


def test_a_token_goes_along_and_a_refused_one_is_one_message(platform, config, asked_of, monkeypatch):
    monkeypatch.setenv("DARKROOM_OPENVERSE_TOKEN", "abc123")
    server = platform({"/v1/images/": lambda _: (401, {"detail": "Authentication credentials were not provided."})})
    with pytest.raises(
        SourceError, match=r"DARKROOM_OPENVERSE_TOKEN: the platform refuses the key .status 401"
    ) as caught:
        asked_of(build(config(server.base)))
    assert server.headers[0]["Authorization"] == "Bearer abc123"
    assert "abc123" not in str(caught.value)


def test_what_wants_a_token_says_so(platform, config, asked_of):
    server = platform({"/v1/images/": lambda _: (401, {"detail": "Ensure this value is less than or equal to 20."})})
    _, (missed,) = asked_of(build(config(server.base, page_size=50)))
    assert "the API wants a token for this (401): ask for 20 results a page" in missed.reason
    assert "Authorization" not in server.headers[0]


def test_a_quota_used_up_half_way_keeps_what_was_brought_and_the_next_run_goes_on(platform, config, asked_of):
    open_again = []

    def answer(query):
        if query["page"] == "2" and not open_again:
            return 429, {"detail": "Request was throttled. Expected available in 43200 seconds."}
        name = f"n{query['page']}"
        return {"page_count": 3, "results": [result(server.base, name)]}

    server = platform({"/v1/images/": answer})
    found, (missed,) = asked_of(build(config(server.base)), retries=0)
    assert [each.title for each in found] == ["Title n1"]
    assert "quota is used up; run crawl again later, it goes on here" in missed.reason
    assert "page=2" in missed.url
    open_again.append(True)
    before = len(server.asked)
    found, missed = asked_of(build(config(server.base)))
    assert ([each.title for each in found], missed) == (["Title n1", "Title n2", "Title n3"], [])
    assert [query["page"] for path, query in server.asked[before:] if path == "/v1/images/"] == ["2", "3"]
    assert server.asked[before:].count(("/pictures/n1.jpg", {})) == 0


def test_a_budget_used_up_half_way_keeps_what_was_brought_and_the_next_run_goes_on(openverse, config, asked_of):
    server = openverse(*(lambda base, n=n: [result(base, f"n{n}")] for n in range(4)))
    found, (missed,) = asked_of(build(config(server.base, budget=2)))
    assert len(found) == 2
    assert "the budget of 2 units in 24 h is used up" in missed.reason
    found, missed = asked_of(build(config(server.base, budget=4)))
    assert (len(found), missed) == (4, [])
    assert [query["page"] for _, query in server.pages()] == ["1", "2", "3", "4"]


def test_a_page_that_fails_for_a_moment_is_asked_for_again(platform, config, asked_of):
    answers = [(503, b""), (200, {"page_count": 1, "results": []})]
    server = platform({"/v1/images/": lambda _: answers.pop(0)})
    assert asked_of(build(config(server.base))) == ([], [])


def test_a_crawl_that_was_killed_goes_on_and_brings_the_same(openverse, config, asked_of):
    batches = [lambda base, n=n: [result(base, f"n{n}"), result(base, f"m{n}")] for n in range(3)]
    server = openverse(*batches)
    asked_of(build(config(server.base)), most=3)
    before = list(server.asked)
    whole = asked_of(build(config(server.base)))
    assert len(whole[0]) == 6
    again = [each for each in server.asked[len(before) :] if each in before]
    assert again == []
    assert asked_of(build(config(server.base))) == whole


def test_the_stage_leaves_licence_credit_and_author_of_each_picture(openverse, manners, tmp_path):
    server = openverse(
        lambda base: [result(base, "a"), result(base, "b", license_url=None, license="cc0"), result(base, "gone")]
    )
    chosen = {"name": "openverse", "base": server.base, "search": "galaxy", "licences": ["by", "cc0"], "sources": []}
    chosen |= {"page_size": 20, "max_items": 9, "budget": 9}
    config = stage.Config(
        sources={"openverse": chosen},
        manners=manners(retries=0),
        fresh_hours=1.0,
        max_failures=0.5,
        shard_digits=1,
        follow_requests=False,
    )
    assert stage.run(config, own=tmp_path, out=tmp_path / "out")["items"] == 2
    rows = sorted(tables.read(tmp_path / "out", Item), key=lambda row: row.url)
    assert [(row.licence, row.author, row.credit[:9]) for row in rows] == [
        ("CC-BY-2.0", "Ann", '"Title a"'),
        ("", "Ann", '"Title b"'),
    ]
    assert [row.reason for row in tables.read(tmp_path / "out", Failure)] == ["answered 404 Not Found"]
