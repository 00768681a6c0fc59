"""Sitemaps: what they list, and that none of them costs more than it may."""

import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.crawl import site, sitemaps
from stages.crawl.journal import Journal
from stages.web.client import Client

HOME = f"http://{site.HOST}"


def urlset(*urls):
    inner = "".join(f"<url><loc>{url}</loc><lastmod>2026-01-01</lastmod></url>" for url in urls)
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</urlset>'.encode()


def index(*urls):
    inner = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{inner}</sitemapindex>'.encode()


READ = [
    (urlset("http://a.test/1", "http://a.test/2"), ["http://a.test/1", "http://a.test/2"], False),
    (index("http://a.test/s.xml"), ["http://a.test/s.xml"], True),
    (gzip.compress(urlset("http://a.test/1")), ["http://a.test/1"], False),
    (b"http://a.test/1\nhttp://a.test/2\r\n", ["http://a.test/1", "http://a.test/2"], False),
    (urlset("http://a.test/?a=1&amp;b=2"), ["http://a.test/?a=1&b=2"], False),
    (urlset("\n  http://a.test/1\n  "), ["http://a.test/1"], False),
    (urlset("<![CDATA[http://a.test/1?a&b]]>"), ["http://a.test/1?a&b"], False),
    (b"<urlset><url><loc>http://a.test/1</loc><image:image><image:loc>http://a.test/1.jpg</image:loc>", ["http://a.test/1"], False),
    (b"<urlset><url><loc>http://a.test/1</loc></url><url><loc>http://a.te", ["http://a.test/1"], False),
    (b"<urlset><url><loc></loc></url></urlset>", [], False),
    (b"<html><p>not here</p></html>", [], False),
    (gzip.compress(urlset("http://a.test/1"))[:20], [], False),
    (b"\x1f\x8bnothing", [], False),
    (b"", [], False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "urls", "more"), READ)
def test_what_a_sitemap_lists(body, urls, more):
    assert sitemaps.read(body) == (urls, more)


def test_a_bomb_is_unpacked_no_further_than_the_protocol_allows(monkeypatch):
    monkeypatch.setattr(sitemaps, "MAX_BYTES", 1000)
    urls, _ = sitemaps.read(gzip.compress(urlset(*(f"http://a.test/{n}" for n in range(10_000)))))
    assert 0 < len(urls) < 20


@pytest.mark.parametrize("text", [b"<loc>" * 200_000, b"<loc>" + b" " * 1_000_000, b"<loc>a</loc" * 90_000])
def test_a_hostile_sitemap_takes_no_second(text):
    started = time.process_time()
    sitemaps.read(text)
    assert time.process_time() - started < 1.0


@given(body=st.binary(max_size=300))
def test_no_bytes_make_it_raise(body):
    sitemaps.read(body)
    sitemaps.read(b"\x1f\x8b" + body)


@pytest.fixture
def journal(counted, manners, tmp_path):
    """A journal over a served site; gives it, and the site that counts."""

    def make(files):
        pages = counted({path: site.Resource(body=body, type="text/xml") for path, body in files.items()})
        address = stack.enter_context(site.served(pages))
        client = Client(manners(retries=0), connect_to={site.HOST: address})
        return Journal(client, tmp_path / "journal", fresh_hours=1.0), pages

    from contextlib import ExitStack

    with ExitStack() as stack:
        yield make


def test_files_that_list_files_are_followed_in_their_order(journal):
    one, _ = journal({
        "/s.xml": index(f"{HOME}/a.xml", f"{HOME}/gone.xml", f"{HOME}/b.xml"),
        "/a.xml": urlset(f"{HOME}/1", "ftp://a.test/"),
        "/b.xml": urlset(f"{HOME}/2", "/3"),
    })  # fmt: skip
    assert list(sitemaps.listed(one, [f"{HOME}/s.xml"])) == [f"{HOME}/1", f"{HOME}/2", f"{HOME}/3"]


def test_files_that_list_each_other_are_read_once(journal):
    one, pages = journal({"/a.xml": index(f"{HOME}/b.xml"), "/b.xml": index(f"{HOME}/a.xml")})
    assert list(sitemaps.listed(one, [f"{HOME}/a.xml"])) == []
    assert (pages.asked["/a.xml"], pages.asked["/b.xml"]) == (1, 1)


def test_no_more_files_are_read_than_allowed(journal, monkeypatch):
    monkeypatch.setattr(sitemaps, "FILES", 3)
    one, pages = journal({"/0.xml": index(*(f"{HOME}/{n}.xml" for n in range(1, 9)))})
    list(sitemaps.listed(one, [f"{HOME}/0.xml"]))
    assert sum(count for path, count in pages.asked.items() if path.endswith(".xml")) == 3
