"""Crawling a site that is served on loopback: what is asked, in what order, and what comes of it."""

import pytest

from stages.crawl import site
from stages.errors import SourceError

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
