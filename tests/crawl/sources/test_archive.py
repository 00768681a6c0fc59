"""Internet Archive: answers in the form of its scraping and metadata APIs, items of many files, and faults."""

import pytest

from stages.crawl.sources.archive import Config, build
from stages.records import Evidence

ZERO = "http://creativecommons.org/publicdomain/zero/1.0/"


@pytest.fixture
def config():
    """The source's settings; give others to change them."""

    def make(base, **others):
        values = {"base": base, "search": "collection:nasa", "licensed": True, "formats": ("JPEG", "MPEG4")}
        return Config(**(values | {"files_per_item": 5, "max_items": 100, "budget": 1000} | others))

    return make


def item(*names, **others):
    """An item's record as the Metadata API gives it."""
    files = [
        {"name": name, "format": "MPEG4" if name.endswith("mp4") else "JPEG", "source": "original"} for name in names
    ]
    said = {
        "identifier": "x",
        "title": "M51",
        "creator": ["Ann", "Bob"],
        "description": "A <i>galaxy</i>",
        "licenseurl": ZERO,
    }
    return {"created": 1, "files": files, "metadata": said | others, "server": "ia800.us.archive.org"}


@pytest.fixture
def archive(platform):
    """An archive of items, searched two at a time; whatever is downloaded is a picture."""

    def start(items, per_page=2):
        def search(query):
            start = int(query.get("cursor", "0"))
            names = sorted(items)
            page = {"items": [{"identifier": name} for name in names[start : start + per_page]], "total": len(names)}
            return page | ({"cursor": str(start + per_page)} if start + per_page < len(names) else {})

        routes = {"/services/search/v1/scrape": search}
        for name, record in items.items():
            routes[f"/metadata/{name}"] = lambda _, record=record: record
        return platform(routes)

    return start


def test_a_file_is_brought_with_all_that_its_item_says(archive, config, asked_of):
    server = archive({"m51": item("a b.jpg")})
    (found,), missed = asked_of(build(config(server.base)))
    assert missed == []
    assert (found.url, found.page) == (f"{server.base}/download/m51/a%20b.jpg", f"{server.base}/details/m51")
    assert (found.title, found.author, found.alt, found.kind) == ("M51", "Ann, Bob", "A galaxy", "image")
    assert found.licence_evidence == (Evidence(where="api archive", raw=ZERO, scope="picture"),)


def test_it_asks_as_documented_and_follows_the_cursor(archive, config, asked_of):
    server = archive({name: item("a.jpg") for name in "edcba"})
    found, _ = asked_of(build(config(server.base)))
    assert [each.page[-1] for each in found] == ["a", "b", "c", "d", "e"]
    queries = [query for path, query in server.asked if path.startswith("/services")]
    assert [query.get("cursor") for query in queries] == [None, "2", "4"]
    assert queries[0] == {
        "q": "(collection:nasa) AND licenseurl:*",
        "fields": "identifier",
        "sorts": "identifier",
        "count": "100",
    }


def test_items_without_a_licence_come_when_they_are_asked_for(archive, config, asked_of):
    server = archive({"x": item("a.jpg", licenseurl=None)})
    (found,), _ = asked_of(build(config(server.base, licensed=False)))
    assert found.licence_evidence == ()
    assert server.asked[0][1]["q"] == "collection:nasa"


def test_only_files_of_the_formats_come_in_the_order_of_names_and_not_too_many(archive, config, asked_of):
    record = item("c.jpg", "a.jpg", "b.mp4", "d.jpg", "notes.txt")
    record["files"] += [
        {"name": "e.jpg", "format": "JPEG Thumb"},
        {"name": "0.jpg", "format": "JPEG", "private": "true"},
        {"format": "JPEG"},
        "no object",
    ]
    found, _ = asked_of(build(config(archive({"x": record}).base, files_per_item=3)))
    assert [(each.url.rsplit("/", 1)[1], each.kind) for each in found] == [
        ("a.jpg", "image"),
        ("b.mp4", "video"),
        ("c.jpg", "image"),
    ]


def test_an_item_of_any_shape_is_brought_or_missed(archive, config, asked_of):
    items = {"a": {}, "b": {"is_dark": True, "metadata": {}}, "c": {"metadata": 7}, "d": [], "e": item("a.jpg")}
    items["f"] = {"error": "item not found"}
    items["g"] = {"metadata": {"title": 7, "creator": {}}, "files": 3}
    found, missed = asked_of(build(config(archive(items).base)))
    assert len(found) == 1
    assert [(each.url.rsplit("/", 1)[1], each.reason) for each in missed] == [
        ("a", "the item is not there or not public"),
        ("b", "the item is not there or not public"),
        ("c", "the item is not there or not public"),
        ("d", "answers no JSON object"),
        ("f", "the API answers: item not found"),
    ]


def test_an_error_of_the_search_ends_it(platform, config, asked_of):
    server = platform(
        {"/services/search/v1/scrape": lambda _: {"error": "Invalid query", "errorType": "RangeException"}}
    )
    assert [each.reason for each in asked_of(build(config(server.base)))[1]] == ["the API answers: Invalid query"]


def test_a_server_that_fails_for_one_item_costs_only_that_and_one_that_asks_to_wait_all_others(
    archive, config, asked_of
):
    server = archive({name: item("a.jpg") for name in "abc"})
    server.routes["/metadata/b"] = lambda _: (500, b"")
    found, missed = asked_of(build(config(server.base)))
    assert (len(found), [each.reason for each in missed]) == (2, ["answered 500 Internal Server Error"])
    server.routes["/metadata/b"] = lambda _: (429, b"")
    found, missed = asked_of(build(config(server.base)))
    assert (len(found), [each.reason for each in missed]) == (1, ["answered 429 Too Many Requests"])


def test_a_budget_used_up_half_way_goes_on_later(archive, config, asked_of):
    server = archive({name: item("a.jpg") for name in "abcd"})
    found, (missed,) = asked_of(build(config(server.base, budget=3)))
    assert (len(found), "the budget of 3 units in 1 h is used up" in missed.reason) == (2, True)
    found, missed = asked_of(build(config(server.base, budget=6)))
    assert (len(found), missed) == (4, [])
    assert len([path for path, _ in server.asked if path == "/metadata/a"]) == 1
