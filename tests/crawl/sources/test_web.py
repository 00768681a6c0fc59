"""Crawling a site that is served on loopback: what is asked, in what order, and what comes of it."""

import pytest

from stages.crawl import site
from stages.crawl.journal import Journal
from stages.crawl.sources import web
from stages.errors import SourceError
from stages.web.client import Client

SITE_FILES = ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")
JPEG = site.Resource(body=b"picture", type="image/jpeg")
HOME = f"http://{site.HOST}"


def linked(*paths):
    return "".join(f'<a href="{path}">x</a>' for path in paths)


def shown(*paths):
    return "".join(f'<img src="{path}">' for path in paths)


@pytest.fixture
def chain(counted, page_of):
    """Five pages in a row, each with a picture."""
    pages = {f"/{n}.html": page_of(linked(f"/{n + 1}.html") + shown(f"/{n}.jpg")) for n in range(5)}
    pictures = {f"/{n}.jpg": site.Resource(body=f"picture {n}".encode(), type="image/jpeg") for n in range(5)}
    return counted({**pages, **pictures})


def urls(found):
    return [each.url.removeprefix(HOME) for each in found]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_links_are_followed_as_deep_as_asked(crawled, chain, depth):
    found, missed = crawled(chain, start=("/0.html",), depth=depth)
    assert urls(found) == [f"/{n}.jpg" for n in range(depth + 1)]
    assert missed == []
    assert chain.asked[f"/{depth + 1}.html"] == 0


def test_no_more_pages_are_asked_for_than_allowed(crawled, chain):
    found, _ = crawled(chain, start=("/0.html",), depth=4, max_pages=2)
    assert urls(found) == ["/0.jpg", "/1.jpg"]
    assert sum(count for path, count in chain.asked.items() if path.endswith(".html")) == 2


def test_no_more_pictures_are_asked_for_than_allowed(crawled, chain):
    found, _ = crawled(chain, start=("/0.html",), depth=4, max_items=3)
    assert len(found) == 3
    assert sum(count for path, count in chain.asked.items() if path.endswith(".jpg")) == 3


def test_pages_that_link_to_each_other_are_asked_for_once(crawled, counted, page_of):
    pages = counted({"/": page_of(linked("/a", "/")), "/a": page_of(linked("/", "/a"))})
    crawled(pages, depth=9)
    assert pages.asked == {"/": 1, "/a": 1} | dict.fromkeys(SITE_FILES, 1)


def test_a_picture_that_two_pages_show_is_brought_once_and_by_the_first(crawled, counted, page_of):
    picture = site.Resource(body=b"picture", type="image/jpeg")
    pages = counted({"/": page_of(linked("/a") + shown("/b.jpg")), "/a": page_of(shown("/b.jpg")), "/b.jpg": picture})
    found, _ = crawled(pages)
    assert [(each.url, each.page) for each in found] == [(f"{HOME}/b.jpg", f"{HOME}/")]
    assert pages.asked["/b.jpg"] == 1


def test_other_hosts_are_left_alone(crawled, page_of):
    html = linked("http://other.test/", f"{HOME}:81/a") + shown("http://other.test/a.jpg", "//cdn.test/b.jpg")
    assert crawled({"/": page_of(html)}) == ([], [])


def test_named_hosts_may_be_visited(crawled, page_of):
    _, missed = crawled({"/": page_of(linked("http://127.0.0.1:9/"))}, hosts=(site.HOST, "127.0.0.1:9"))
    assert [each.url for each in missed] == ["http://127.0.0.1:9/"]


def test_a_link_to_a_file_is_no_failure(crawled, page_of):
    picture = site.Resource(body=b"picture", type="image/jpeg")
    found, missed = crawled({"/": page_of(linked("/a.jpg") + shown("/a.jpg")), "/a.jpg": picture})
    assert (urls(found), missed) == (["/a.jpg"], [])


def test_what_is_not_there_is_missed_with_its_reason(crawled, page_of):
    _, missed = crawled({"/": page_of(linked("/a.html") + shown("/a.jpg"))})
    assert [(each.url, each.reason, each.forbidden) for each in missed] == [
        (f"{HOME}/a.jpg", "answered 404 Not Found", False),
        (f"{HOME}/a.html", "answered 404 Not Found", False),
    ]


def test_what_robots_txt_forbids_is_missed_and_never_asked_for(crawled, counted, page_of):
    robots = site.Resource(body=b"User-agent: *\nDisallow: /no\n", type="text/plain")
    pages = counted({"/": page_of(linked("/no.html") + shown("/no.jpg")), "/robots.txt": robots})
    _, missed = crawled(pages)
    assert [(each.reason, each.forbidden) for each in missed] == [("robots.txt forbids it", True)] * 2
    assert set(pages.asked) == {"/", *SITE_FILES}


def test_the_only_start_page_must_be_there(crawled):
    with pytest.raises(SourceError, match=r"http://sample.test/: answered 404 .*; it is the only start page: check"):
        crawled({})


def test_of_several_start_pages_one_may_be_missing(crawled, page_of):
    found, missed = crawled({"/a": page_of(shown("/c.jpg")), "/c.jpg": JPEG}, start=("/a", "/b"))
    assert len(found) == len(missed) == 1


def test_an_opt_out_of_the_page_is_said_of_its_pictures(crawled, page_of):
    html = '<meta name="robots" content="noai">' + shown("/a.jpg")
    found, _ = crawled({"/": page_of(html), "/a.jpg": site.Resource(body=b"picture", type="image/jpeg")})
    assert [each.raw for each in found[0].signals] == ["noai"]


def test_a_page_full_of_faults_does_not_stop_the_crawl(crawled, page_of):
    html = linked("http://[", "http://]/", "//", "?") + shown("http://[", "data:,", "/a.jpg") + "<![foo["
    good = page_of(linked("/b") + shown("/c.jpg"))
    found, _ = crawled({"/": good, "/b": page_of(html), "/c.jpg": JPEG})
    assert urls(found) == ["/c.jpg"]


def test_a_second_crawl_with_the_journal_asks_for_no_page_and_no_picture(crawled, counted, photographs):
    pages = counted(photographs)
    first = crawled(pages)
    asked = pages.asked.copy()
    assert sum(asked.values()) > 130
    assert crawled(pages) == first
    assert pages.asked == asked


def test_a_crawl_that_was_killed_goes_on_where_it_was(crawled, counted, photographs, tmp_path):
    pages, whole = counted(photographs), crawled(photographs, folder=tmp_path / "other")
    crawled(pages, most=50)
    before = pages.asked.copy()
    assert 50 < sum(before.values()) < sum(1 for path in photographs if not path.startswith("/private"))
    assert crawled(pages) == whole
    again = {path for path in before if pages.asked[path] > before[path]}
    assert again == set()


def test_an_old_journal_is_asked_anew(crawled, counted, page_of):
    pages = counted({"/": page_of("")})
    crawled(pages, fresh_hours=0.0)
    crawled(pages, fresh_hours=0.0)
    assert pages.asked["/"] == 2


def urlset(*paths):
    inner = "".join(f"<url><loc>{HOME}{path}</loc></url>" for path in paths)
    return site.Resource(body=f"<urlset>{inner}</urlset>".encode(), type="application/xml")


def test_pages_that_the_sitemaps_of_robots_txt_list_are_visited(crawled, page_of):
    robots = site.Resource(body=f"Sitemap: {HOME}/s.xml\n".encode(), type="text/plain")
    pages = {"/robots.txt": robots, "/s.xml": urlset("/a", "/b", "/"), "/": page_of(""), "/a": page_of(shown("/a.jpg"))}
    found, missed = crawled({**pages, "/a.jpg": JPEG, "/b": page_of("")}, sitemaps=("robots",), depth=0)
    assert (urls(found), missed) == (["/a.jpg"], [])
    assert crawled({**pages, "/a.jpg": JPEG}, depth=0) == ([], [])


def test_pages_of_a_named_sitemap_are_visited_within_the_budget_and_the_hosts(crawled, counted, page_of):
    listed = [f"/{n}" for n in range(9)]
    other = site.Resource(body=b"http://other.test/\nhttp://sample.test/1\n", type="text/plain")
    pages = counted(
        {"/s.xml": urlset(*listed), "/t.txt": other, "/": page_of("")} | {path: page_of("") for path in listed}
    )
    _, missed = crawled(pages, sitemaps=(f"{HOME}/t.txt", f"{HOME}/s.xml"), max_pages=4)
    assert missed == []
    assert [path for path in pages.asked if path.strip("/").isdigit()] == ["/1", "/0", "/2"]


def test_patterns_say_which_pages_are_visited_and_which_pictures_are_left_alone(crawled, page_of):
    start = page_of(linked("/art/1", "/art/draft/2", "/shop/3") + shown("/a.jpg", "/thumbs/b.jpg"))
    pages = {
        "/": start,
        "/a.jpg": JPEG,
        "/thumbs/b.jpg": JPEG,
        "/art/1": page_of(shown("/1.jpg", "/2.png")),
        "/1.jpg": JPEG,
    }
    found, missed = crawled(pages, include=("/art/",), exclude=("/art/draft/", "/thumbs/", "/*.png$"))
    assert (urls(found), missed) == (["/a.jpg", "/1.jpg"], [])


def test_pictures_of_other_hosts_come_only_from_those_that_are_named(manners, tmp_path, page_of):
    html = shown("/a.jpg", "http://cdn.test/b.jpg", "http://ads.test/c.jpg")
    pages = {"/": page_of(html), "/a.jpg": JPEG, "/b.jpg": JPEG, "/c.jpg": JPEG}
    brought = {}
    with site.served(pages) as address:
        client = Client(manners(retries=0), connect_to=dict.fromkeys((site.HOST, "cdn.test", "ads.test"), address))
        for named in ((), ("cdn.test",), ("*",)):
            journal = Journal(client, tmp_path / "journal", fresh_hours=1.0)
            brought[named] = [each.url for each in web.crawl(config(picture_hosts=named), journal)]
    near, cdn, ads = f"{HOME}/a.jpg", "http://cdn.test/b.jpg", "http://ads.test/c.jpg"
    assert brought == {(): [near], ("cdn.test",): [near, cdn], ("*",): [near, cdn, ads]}


def config(**others):
    none = dict.fromkeys(("sitemaps", "hosts", "picture_hosts", "include", "exclude"), ())
    return web.Config(**(none | {"start": (f"{HOME}/",), "depth": 0, "max_pages": 9, "max_items": 9} | others))


def test_a_page_instead_of_a_picture_is_missed(crawled, page_of):
    _, missed = crawled({"/": page_of(shown("/a.jpg")), "/a.jpg": page_of("<p>gone</p>")})
    assert [(each.url, each.reason) for each in missed] == [(f"{HOME}/a.jpg", "is text/html, no picture")]


SIGNALS = {  # what a site answers beside its page and its picture; kind, layer, scope and verdict that a picture gets
    "content-usage of the site": (
        {"/robots.txt": (b"User-agent: *\nContent-Usage: train-ai=n\n", ())},
        [("content-usage", "site", "site", "deny")],
    ),
    "content-usage of the picture's path": (
        {"/robots.txt": (b"User-agent: *\nContent-Usage: /*.jpg$ train-ai=n\n", ())},
        [("content-usage", "site", "picture", "deny")],
    ),
    "content-signal": (
        {"/robots.txt": (b"User-agent: *\nContent-Signal: search=yes,ai-train=no\n", ())},
        [("content-signal", "site", "site", "deny"), ("content-signal", "site", "site", "allow")],
    ),
    "headers of the page": (
        {"/": (b'<img src="/a.jpg">', (("X-Robots-Tag", "darkroom: noai"),))},
        [("x-robots-tag", "http", "page", "deny")],
    ),
    "headers of the picture": (
        {"/a.jpg": (b"picture", (("Content-Usage", "train-ai=n"), ("X-Robots-Tag", "otherbot: noai")))},
        [("content-usage", "http", "picture", "deny")],
    ),
    "repeated headers of the picture": (
        {"/a.jpg": (b"picture", (("X-Robots-Tag", "otherbot: nofollow"), ("X-Robots-Tag", "noai")))},
        [("x-robots-tag", "http", "picture", "deny")],
    ),
    "a reservation that the picture's header takes back": (
        {
            "/.well-known/tdmrep.json": (b'[{"location": "/*.jpg", "tdm-reservation": 1}]', ()),
            "/a.jpg": (b"picture", (("TDM-Reservation", "0"),)),
        },
        [("tdmrep", "site", "picture", "unknown"), ("tdmrep", "http", "picture", "allow")],
    ),
    "a reservation of the page": (
        {"/": (b'<meta name="tdm-reservation" content="1"><img src="/a.jpg">', (("TDM-Reservation", "0"),))},
        [("tdmrep", "http", "page", "unknown"), ("tdmrep", "html", "page", "deny")],
    ),
    "ai.txt": (
        {"/ai.txt": (b"User-Agent: *\nDisallow: *.jpg\n", ())},
        [("ai.txt", "site", "picture", "deny")],
    ),
    "rsl in robots.txt": (
        {
            "/robots.txt": (f"License: {HOME}/l.xml\n".encode(), ()),
            "/l.xml": (
                b'<rsl><content url="/"><license><prohibits type="usage">ai-train</prohibits></license></content>',
                (),
            ),
        },
        [("rsl", "site", "site", "deny")],
    ),
    "rsl in a header, and its file gone": (
        {"/a.jpg": (b"picture", (("Link", '</l.xml>; rel="license"; type="application/rsl+xml"'),))},
        [("rsl", "http", "picture", "unknown")],
    ),
    "nothing": ({}, []),
}


@pytest.mark.parametrize(("answers", "expected"), SIGNALS.values(), ids=SIGNALS)
def test_every_signal_reaches_the_picture_with_its_layer_and_scope(crawled, answers, expected):
    plain = {"/": (b'<img src="/a.jpg">', ()), "/a.jpg": (b"picture", ())}
    types = {"/": "text/html", "/a.jpg": "image/jpeg"}
    pages = {
        path: site.Resource(body=body, type=types.get(path, "text/plain"), headers=headers)
        for path, (body, headers) in (plain | answers).items()
    }
    (found,), _ = crawled(pages)
    assert [(each.kind, each.layer, each.scope, each.verdict) for each in found.signals] == expected


def test_the_files_of_a_site_are_asked_for_once_whatever_it_shows(crawled, counted, photographs):
    pages = counted(photographs)
    crawled(pages)
    assert [pages.asked[path] for path in SITE_FILES] == [1, 1, 1]
