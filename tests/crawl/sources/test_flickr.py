"""Flickr: answers in the form of its API, the licences it tells of, its limit of 4,000 rows, and its errors."""

from datetime import UTC, date, datetime

import pytest

from stages import licences, machine
from stages.crawl.sources import flickr
from stages.crawl.sources.flickr import Config, build
from stages.errors import SourceError
from stages.records import Evidence

LICENCES = {
    "0": "https://www.flickrhelp.com/hc/en-us/articles/10710266545556",
    "4": "https://creativecommons.org/licenses/by/2.0/",
    "5": "https://creativecommons.org/licenses/by-sa/2.0/",
    "7": "https://www.flickr.com/commons/usage/",
    "9": "https://creativecommons.org/publicdomain/zero/1.0/",
    "11": "https://creativecommons.org/licenses/by/4.0/",
}
DAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())


@pytest.fixture(autouse=True)
def flickr_key(monkeypatch):
    """A key, for all tests but those that take it away."""
    monkeypatch.setenv("DARKROOM_FLICKR_KEY", "abc123")


@pytest.fixture
def config():
    """The source's settings; give others to change them."""

    def make(base, **others):
        values = {"base": base, "search": "galaxy", "tags": (), "licences": ("CC-BY-2.0", "CC-BY-4.0", "CC0-1.0")}
        values |= {"since": date(2024, 1, 1), "until": date(2024, 1, 1), "largest": "l"}
        return Config(**(values | {"max_items": 10**6, "budget": 3600} | others))

    return make


def photo(base, id, **others):
    """One row as the API gives it."""
    values = {"id": id, "owner": "9@N01", "ownername": "Ann", "title": f"Title {id}", "license": "11", "ispublic": 1}
    values |= {"description": {"_content": "A <b>galaxy</b>"}, "url_l": f"{base}/pictures/{id}_b.jpg", "height_l": 768}
    return values | {"url_m": f"{base}/pictures/{id}_m.jpg"} | others


@pytest.fixture
def served_flickr(platform):
    """A Flickr of photographs by the second of their upload; pages of ``PER_PAGE``, no more than ``MOST`` of a search."""

    def start(uploads, fails=lambda _: None):
        def answer(query):
            if failure := fails(query):
                return failure
            if query["method"] == "flickr.photos.licenses.getInfo":
                known = [{"id": int(id), "name": "a name", "url": url} for id, url in LICENCES.items()]
                return {"licenses": {"license": known}, "stat": "ok"}
            first, last, number = (int(query[name]) for name in ("min_upload_date", "max_upload_date", "page"))
            rows = [row for second, row in uploads(server.base) if first <= second <= last]
            shown = rows[: flickr.MOST][(number - 1) * flickr.PER_PAGE :][: flickr.PER_PAGE]
            return {"photos": {"page": number, "total": str(len(rows)), "photo": shown}, "stat": "ok"}

        server = platform({"/services/rest/": answer})
        return server

    return start


def searches(server):
    return [query for _, query in server.pages() if query["method"] == "flickr.photos.search"]


def test_a_photograph_is_brought_with_all_that_the_api_says_of_it(served_flickr, config, asked_of):
    server = served_flickr(lambda base: [(DAY, photo(base, "1"))])
    (found,), missed = asked_of(build(config(server.base)))
    assert missed == []
    assert (found.url, found.page) == (f"{server.base}/pictures/1_b.jpg", "https://www.flickr.com/photos/9@N01/1")
    assert (found.title, found.author, found.alt, found.kind) == ("Title 1", "Ann", "A galaxy", "image")
    assert found.licence_evidence == (Evidence(where="api flickr", raw=LICENCES["11"], scope="picture"),)
    assert licences.spdx(found.licence_evidence[0].raw) == "CC-BY-4.0"


def test_it_asks_as_documented_and_for_the_ids_of_the_chosen_licences(served_flickr, config, asked_of):
    server = served_flickr(lambda _: [])
    asked_of(build(config(server.base, tags=("m51", "space"), until=date(2024, 1, 2))))
    (query,) = searches(server)
    assert (query["license"], query["text"], query["tags"], query["tag_mode"]) == (
        "4,9,11",
        "galaxy",
        "m51,space",
        "all",
    )
    assert (query["min_upload_date"], query["max_upload_date"]) == (str(DAY), str(DAY + 2 * 86400 - 1))
    assert (query["sort"], query["per_page"], query["page"]) == ("date-posted-asc", "500", "1")
    assert (query["media"], query["safe_search"], query["content_type"]) == ("photos", "1", "1")
    assert query["extras"] == "description,license,owner_name,url_l,url_c,url_z,url_m"
    assert (query["format"], query["nojsoncallback"], query["api_key"]) == ("json", "1", "abc123")


def test_the_largest_size_that_is_there_and_allowed_is_taken(served_flickr, config, asked_of):
    def uploads(base):
        return [
            (DAY, photo(base, "1", url_o=f"{base}/pictures/1_o.jpg")),
            (DAY, photo(base, "2", url_l=None)),
        ]

    server = served_flickr(uploads)
    assert [each.url[-7:] for each in asked_of(build(config(server.base, largest="o")))[0]] == ["1_o.jpg", "2_m.jpg"]
    assert [each.url[-7:] for each in asked_of(build(config(server.base)))[0]] == ["1_b.jpg", "2_m.jpg"]


def test_a_search_of_more_than_4000_is_halved_until_each_part_gives_fewer(served_flickr, config, asked_of, monkeypatch):
    monkeypatch.setattr(flickr, "MOST", 40)
    monkeypatch.setattr(flickr, "PER_PAGE", 10)

    def uploads(base):
        gone = [(DAY + n * 600, photo(base, f"{n:03}", url_l=f"{base}/pictures/gone{n}.jpg")) for n in range(144)]
        return sorted(gone, key=lambda each: each[0])

    server = served_flickr(uploads)
    _, missed = asked_of(build(config(server.base)))
    assert [each.url for each in missed] == [f"{server.base}/pictures/gone{n}.jpg" for n in range(144)]
    assert all(int(query["page"]) <= 4 for query in searches(server))
    assert len(searches(server)) < 30


def test_more_than_4000_of_one_second_are_said(served_flickr, config, asked_of, monkeypatch):
    monkeypatch.setattr(flickr, "MOST", 4)
    monkeypatch.setattr(flickr, "PER_PAGE", 2)
    server = served_flickr(lambda base: [(DAY + 5, photo(base, str(n))) for n in range(7)])
    found, (missed,) = asked_of(build(config(server.base)))
    assert [each.title for each in found] == ["Title 0", "Title 1", "Title 2", "Title 3"]
    assert missed.reason == "3 more of one second, which the API does not give"
    assert {query["page"] for query in searches(server)} == {"1", "2"}


def test_a_row_of_any_shape_is_brought_or_missed(served_flickr, config, asked_of):
    def uploads(base):
        rows = [{}, "no object", photo(base, "1", owner=None), photo(base, "2", url_l="x", url_m=None)]
        rows += [photo(base, "3", license="99"), photo(base, "4", license=None, description=None, title=None)]
        return [(DAY, row) for row in rows]

    found, missed = asked_of(build(config(served_flickr(uploads).base)))
    assert [[each.raw for each in one.licence_evidence] for one in found] == [["flickr 99"], []]
    assert licences.spdx("flickr 99") == ""
    assert [each.reason for each in missed] == ["the API names no address of the photograph"] * 3


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_refused_key_is_one_message_with_its_variable_and_without_it(served_flickr, config, asked_of, status):
    failure = (status, {"stat": "fail", "code": 100, "message": "Invalid API Key (Key has invalid format)"})
    server = served_flickr(lambda _: [], fails=lambda _: failure)
    with pytest.raises(SourceError, match=r"^DARKROOM_FLICKR_KEY: the platform refuses the key") as caught:
        asked_of(build(config(server.base)))
    assert "abc123" not in str(caught.value)
    assert flickr.WHERE in str(caught.value)


def test_a_missing_key_is_one_message_and_nothing_is_asked(served_flickr, config, asked_of, monkeypatch):
    monkeypatch.delenv("DARKROOM_FLICKR_KEY")
    server = served_flickr(lambda _: [])
    with pytest.raises(SourceError, match=r"^DARKROOM_FLICKR_KEY: not set"):
        asked_of(build(config(server.base)))
    assert server.asked == []


def test_an_error_half_way_keeps_what_was_brought(served_flickr, config, asked_of, monkeypatch):
    monkeypatch.setattr(flickr, "PER_PAGE", 1)
    failure = {"stat": "fail", "code": 105, "message": "Service currently unavailable"}
    server = served_flickr(
        lambda base: [(DAY, photo(base, str(n))) for n in range(3)],
        fails=lambda query: failure if query.get("page") == "2" else None,
    )
    found, (missed,) = asked_of(build(config(server.base)))
    assert len(found) == 1
    assert missed.reason == "the API answers 105: Service currently unavailable"
    assert "abc123" not in missed.url


def test_a_quota_used_up_is_said_and_the_next_run_goes_on(served_flickr, config, asked_of, monkeypatch):
    monkeypatch.setattr(flickr, "PER_PAGE", 1)
    used_up = [True]
    server = served_flickr(
        lambda base: [(DAY, photo(base, str(n))) for n in range(3)],
        fails=lambda query: (429, b"") if query.get("page") == "3" and used_up else None,
    )
    found, (missed,) = asked_of(build(config(server.base)))
    assert (len(found), "quota is used up" in missed.reason) == (2, True)
    used_up.clear()
    before = len(searches(server))
    found, missed = asked_of(build(config(server.base)))
    assert (len(found), missed) == (3, [])
    assert [query["page"] for query in searches(server)[before:]] == ["3"]


def test_a_licence_that_flickr_does_not_know_is_one_message(served_flickr, config, asked_of):
    server = served_flickr(lambda _: [])
    with pytest.raises(
        SourceError, match=r"licences: Flickr knows none of them; it has CC-BY-2.0, CC-BY-4.0, CC-BY-SA-2.0"
    ):
        asked_of(build(config(server.base, licences=("CC-BY-3.0",))))


def test_words_or_tags_must_be_given(config, asked_of):
    with pytest.raises(SourceError, match="give search or tags"):
        asked_of(build(config("http://a.test", search="")))


def test_the_key_stands_in_no_file_of_the_cache(served_flickr, config, asked_of):
    server = served_flickr(lambda base: [(DAY, photo(base, "1")), (DAY, photo(base, "gone"))])
    asked_of(build(config(server.base)))
    files = [path for path in machine.cache("crawl").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(b"abc123" in path.read_bytes() for path in files)
