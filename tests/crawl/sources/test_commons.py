"""Wikimedia Commons: answers in the form of the MediaWiki Action API, whole, in parts, and with faults."""

import pytest

from stages.crawl.sources.commons import Config, build
from stages.errors import SourceError
from stages.records import Evidence, Request


@pytest.fixture
def config():
    """The source's settings; give others to change them."""

    def make(base, **others):
        values = {"base": base, "search": "spiral galaxy", "category": "", "width": 0, "videos": False}
        return Config(**(values | {"max_items": 100, "budget": 1000} | others))

    return make


def said(**values):
    return {name: {"value": value, "source": "commons-desc-page"} for name, value in values.items()}


def file(base, name, index, mediatype="BITMAP", **others):
    """One page as the API gives it."""
    info = {"url": f"{base}/pictures/{name}", "descriptionurl": f"{base}/wiki/File:{name}", "mediatype": mediatype}
    info["extmetadata"] = said(
        LicenseUrl="https://creativecommons.org/licenses/by-sa/4.0", LicenseShortName="CC BY-SA 4.0"
    )
    return {"pageid": index, "ns": 6, "title": f"File:{name}", "index": index, "imageinfo": [info | others]}


@pytest.fixture
def commons(platform):
    """A wiki whose API gives batches of pages, one after another by its ``continue``."""

    def start(*batches, complete=True):
        def answer(query):
            number = int(query.get("gsroffset", query.get("gcmcontinue", 0)))
            batch = batches[number](wiki.base) if callable(batches[number]) else batches[number]
            page = {"batchcomplete": True} if complete else {}
            if number + 1 < len(batches):
                name = "gsroffset" if query["generator"] == "search" else "gcmcontinue"
                page["continue"] = {name: number + 1, "continue": f"{name}||"}
            return page | {"query": {"pages": batch}}

        wiki = platform({"/w/api.php": answer})
        return wiki

    return start


def test_a_file_is_brought_with_all_that_the_api_says_of_it(commons, config, asked_of):
    ext = said(
        LicenseUrl="https://creativecommons.org/licenses/by-sa/4.0",
        LicenseShortName="CC BY-SA 4.0",
        Artist='<a href="//commons.wikimedia.org/wiki/User:Ann">Ann <b>B.</b></a>',
        Attribution="<i>Photo: Ann</i>",
        ImageDescription="A <b>galaxy</b>",
        ObjectName="Messier 51",
    )
    wiki = commons(lambda base: [file(base, "M51.jpg", 1, extmetadata=ext)])
    (found,), missed = asked_of(build(config(wiki.base)))
    assert missed == []
    assert (found.url, found.page) == (f"{wiki.base}/pictures/M51.jpg", f"{wiki.base}/wiki/File:M51.jpg")
    assert (found.kind, found.title, found.alt) == ("image", "Messier 51", "A galaxy")
    assert (found.author, found.credit) == ("Ann B.", "Photo: Ann")
    raw = "https://creativecommons.org/licenses/by-sa/4.0"
    assert found.licence_evidence == (Evidence(where="api commons", raw=raw, scope="picture"),)
    assert found.body.endswith(b"/pictures/M51.jpg")


def test_a_search_asks_as_documented(commons, config, asked_of):
    wiki = commons([])
    asked_of(build(config(wiki.base, width=1280)))
    ((_, query),) = wiki.asked
    assert query["action"] == "query"
    assert query["formatversion"] == "2"
    assert (query["generator"], query["gsrnamespace"]) == ("search", "6")
    assert query["gsrsearch"] == "spiral galaxy filetype:bitmap"
    assert (query["prop"], query["iiprop"], query["iiurlwidth"]) == ("imageinfo", "url|mediatype|extmetadata", "1280")
    assert wiki.headers[0]["User-Agent"].startswith("Darkroom/")


def test_a_category_is_read_to_its_end_in_the_order_of_titles(commons, config, asked_of):
    def batch(*names):
        return lambda base: [{**file(base, name, 0), "index": None} for name in names]

    wiki = commons(batch("b.jpg", "a.jpg"), batch("d.jpg", "c.jpg"))
    found, _ = asked_of(build(config(wiki.base, search="", category="Spiral galaxies")))
    assert [each.title for each in found] == ["a", "b", "c", "d"]
    assert [query["gcmtitle"] for _, query in wiki.pages()] == ["Category:Spiral galaxies"] * 2
    assert [query.get("gcmcontinue") for _, query in wiki.pages()] == [None, "1"]


def test_results_of_a_search_keep_its_order_and_pages_follow_each_other(commons, config, asked_of):
    wiki = commons(lambda base: [file(base, "z.jpg", 2), file(base, "y.jpg", 1)], lambda base: [file(base, "a.jpg", 3)])
    found, _ = asked_of(build(config(wiki.base)))
    assert [each.title for each in found] == ["y", "z", "a"]
    assert [query.get("gsroffset") for _, query in wiki.pages()] == [None, "1"]


def test_what_comes_of_one_batch_in_several_answers_is_put_together(platform, config, asked_of):
    def answer(query):
        whole = [file(wiki.base, "a.jpg", 1), file(wiki.base, "b.jpg", 2)]
        bare = [{key: value for key, value in each.items() if key != "imageinfo"} for each in whole]
        if "iistart" not in query:
            return {"continue": {"iistart": "x", "continue": "||"}, "query": {"pages": [whole[0], bare[1]]}}
        return {"batchcomplete": True, "query": {"pages": [bare[0], whole[1]]}}

    wiki = platform({"/w/api.php": answer})
    found, missed = asked_of(build(config(wiki.base)))
    assert [each.title for each in found] == ["a", "b"]
    assert missed == []


def test_drawings_and_sounds_are_passed_over_and_videos_come_when_asked_for(commons, config, asked_of):
    def batch(base):
        kinds = ["DRAWING", "AUDIO", "OFFICE", "VIDEO", "BITMAP"]
        return [file(base, f"{kind}.x", number, mediatype=kind) for number, kind in enumerate(kinds)]

    assert [each.title for each in asked_of(build(config(commons(batch).base)))[0]] == ["BITMAP"]
    found, _ = asked_of(build(config(commons(batch).base, videos=True)))
    assert [(each.title, each.kind) for each in found] == [("VIDEO", "video"), ("BITMAP", "image")]


def test_a_smaller_size_is_taken_where_there_is_one(commons, config, asked_of):
    wiki = commons(
        lambda base: [file(base, "a.jpg", 1, thumburl=f"{base}/pictures/1280px-a.jpg"), file(base, "b.jpg", 2)]
    )
    found, _ = asked_of(build(config(wiki.base, width=1280)))
    assert [each.url.rsplit("/", 1)[1] for each in found] == ["1280px-a.jpg", "b.jpg"]


def test_without_an_address_of_a_licence_its_name_is_the_evidence(commons, config, asked_of):
    wiki = commons(
        lambda base: [
            file(base, "a.jpg", 1, extmetadata=said(LicenseShortName="Public domain")),
            file(base, "b.jpg", 2, extmetadata=[]),
        ]
    )
    one, two = asked_of(build(config(wiki.base)))[0]
    assert [each.raw for each in one.licence_evidence] == ["Public domain"]
    assert two.licence_evidence == ()


def test_a_row_of_any_shape_is_brought_or_missed(commons, config, asked_of):
    wiki = commons(
        lambda base: [
            {"title": "File:none.jpg", "index": 1, "missing": True},
            {"title": "File:empty.jpg", "index": 2, "imageinfo": []},
            {
                "title": "File:odd.jpg",
                "index": 3,
                "imageinfo": [{"mediatype": "BITMAP", "url": "javascript:1", "extmetadata": 7}],
            },
            "no object",
            {"imageinfo": {"url": 1}, "index": "x"},
            file(base, "gone.jpg", 5),
            file(base, "good.jpg", 6, extmetadata={"Artist": "no object", "ObjectName": {"value": ["a", 1]}}),
        ]
    )
    (found,), missed = asked_of(build(config(wiki.base)))
    assert (found.url.endswith("good.jpg"), found.title, found.author) == (True, "a, 1", "")
    assert [each.reason for each in missed] == ["the API names no address of the file"] * 4 + ["answered 404 Not Found"]


def test_an_error_with_status_200_ends_the_pages_and_keeps_what_was_brought(platform, config, asked_of):
    def answer(query):
        if "gsroffset" in query:
            return {"error": {"code": "ratelimited", "info": "You've exceeded your rate limit."}}
        return {"continue": {"gsroffset": 50}, "batchcomplete": True, "query": {"pages": [file(wiki.base, "a.jpg", 1)]}}

    wiki = platform({"/w/api.php": answer})
    found, (missed,) = asked_of(build(config(wiki.base)))
    assert len(found) == 1
    assert missed.reason == "the API answers ratelimited: You've exceeded your rate limit."


def test_a_continuation_that_goes_no_further_ends(platform, config, asked_of):
    wiki = platform({"/w/api.php": lambda _: {"continue": {"gsroffset": 1}, "query": {"pages": []}}})
    _, (missed,) = asked_of(build(config(wiki.base)))
    assert "goes no further" in missed.reason
    assert len(wiki.asked) == 2


def test_either_words_or_a_category_must_be_given(config, asked_of):
    for others in ({"search": ""}, {"category": "Galaxies"}):
        with pytest.raises(SourceError, match="give either search or category"):
            asked_of(build(config("http://a.test", **others)))


def test_what_a_round_asks_for_is_searched_for_after_what_was_configured(commons, config, asked_of):
    wiki = commons(lambda base: [file(base, f"{name}.jpg", number) for number, name in enumerate("abcde")])
    asked = Request(id="word=barred", words=("barred", "galaxy"), site="", policy="licensed", count=2)
    elsewhere = Request(id="x", words=("x",), site="a.test", policy="licensed", count=9)
    source = build(config(wiki.base, search="", category="Galaxies", max_items=2))
    found, _ = asked_of(source, requests=(asked, elsewhere))
    assert [each.title for each in found] == ["a", "b", "c", "d"]
    assert [query.get("gsrsearch") for _, query in wiki.pages()] == [None, "barred galaxy filetype:bitmap"]
