"""The sample site, crawled by the source that the first run uses."""

import dataclasses
from collections import Counter

import pytest

from stages import machine
from stages.crawl import site
from stages.crawl.sources import Found, Missed, Visit
from stages.crawl.sources.sample import build, limited, limits
from stages.records import Request

HOME = f"http://{site.HOST}"


@pytest.fixture
def visit(manners, tmp_path):
    return Visit(manners=manners(), own=tmp_path, fresh_hours=1.0)


def brought(source, visit, kind):
    return [each for each in source(visit) if isinstance(each, kind)]


def test_every_public_picture_of_the_site_is_brought(visit, sample, photographs):
    found = brought(build(sample()), visit, Found)
    public = {path for path, resource in photographs.items() if resource.type in ("image/jpeg", "video/mp4")}
    assert {each.url.removeprefix(HOME) for each in found} == public - {"/private/coffee.jpg"}
    assert all(photographs[each.url.removeprefix(HOME)].body == each.body for each in found)


def test_the_private_page_is_the_only_one_missed(visit, sample):
    (missed,) = brought(build(sample()), visit, Missed)
    assert (missed.url, missed.reason, missed.forbidden) == (
        f"{HOME}/private/index.html",
        "robots.txt forbids it",
        True,
    )


def test_the_forbidden_folder_is_never_asked_for(crawled, counted, photographs):
    pages = counted(photographs)
    crawled(pages)
    assert pages.asked["/private/index.html"] == pages.asked["/private/coffee.jpg"] == 0
    assert pages.asked["/robots.txt"] == 1


def test_the_page_that_answers_500_first_is_got_at_the_second_try(crawled, counted, photographs):
    pages = counted(photographs)
    found, _ = crawled(pages)
    assert pages.asked["/gravel/2.html"] == 2
    assert sum(each.page == f"{HOME}/gravel/2.html" for each in found) == 3
    assert [path for path, count in pages.asked.items() if count > 1] == ["/gravel/2.html"]


def test_a_polite_pause_is_not_kept_towards_this_machine(visit, sample):
    slow = dataclasses.replace(visit.manners, pause=3600.0, backoff=3600.0)
    assert brought(build(sample(max_items=2)), dataclasses.replace(visit, manners=slow), Found)


def test_depth_pages_and_items_are_limits(visit, sample):
    assert len(brought(build(sample(depth=0)), visit, Found)) == 1  # of the page that the sitemap names
    assert len(brought(build(sample(max_pages=3)), visit, Found)) == 5
    assert len(brought(build(sample(max_items=5)), visit, Found)) == 5


def test_the_journal_lies_in_the_cache_and_bears_the_sites_digest(visit, sample, photographs):
    list(build(sample(max_items=1))(visit))
    assert [each.name for each in machine.cache("crawl").iterdir()] == [f"sample-{site.digest(photographs)}"]


def test_the_digits_are_brought_with_their_words_and_licence(visit, sample):
    found = brought(build(sample(specimens="digits")), visit, Found)
    assert len(found) == len({each.url for each in found}) == 9 * 24 + 180
    assert {each.alt.rpartition(" ")[2] for each in found} == set(site.specimens.DIGITS)
    assert {each.licence_evidence[0].raw for each in found} == {site.DIGITS_LICENCE}
    assert {each.author for each in found} == {"E. Alpaydin, C. Kaynak"}


def request(count, *words):
    return Request(id="a", words=words, site="", policy="licensed", count=count)


def shown(number, alt):
    return Found(
        url=f"http://a.test/{number}", page="", kind="image", alt=alt, title="", author="", credit="",
        licence_evidence=(), signals=(), consent="", group="", body=b"",
    )  # fmt: skip


def test_a_limit_starves_the_site_of_pictures_of_a_word_and_a_request_brings_some_back(sample):
    site_of = [shown(number, "a lying nine" if number % 2 else "a nine") for number in range(20)]
    config = sample(limits={"lying": 3})
    kept = list(limited(site_of, limits(config, ())))
    assert [each.alt for each in kept].count("a lying nine") == 3
    assert [each.alt for each in kept].count("a nine") == 10
    more = list(limited(site_of, limits(config, (request(4, "lying", "nine"), request(2, "nine")))))
    assert [each.alt for each in more].count("a lying nine") == 7
    assert [each for each in more if each in kept] == kept


def test_every_other_nine_of_the_turned_digits_is_turned_the_other_way_and_each_has_a_page_of_its_own():
    built = site.build("turned digits")
    pages = {path: resource.body.decode() for path, resource in built.items() if path.startswith("/pages/nine-")}
    ways = Counter(
        way for text in pages.values() for way in ("left", "right") if f'"a {way} turned handwritten' in text
    )
    assert len(pages) == sum(path.startswith("/nine/") for path in built) == 180
    assert ways == {"left": 90, "right": 90}
    assert all(text.count("<img") == 1 for text in pages.values())
