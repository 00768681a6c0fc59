"""What is read from a page, and that no page, however broken, stops a crawl."""

import json
import time
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.crawl import pages, statements
from stages.records import Evidence, Signal

URL = "http://a.test/dir/page.html"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
BY = "https://creativecommons.org/licenses/by/4.0/"


def read(html, headers=None):
    return pages.read(html.encode() if isinstance(html, str) else html, URL, headers or {})


def only(html):
    (picture,) = read(html).pictures
    return picture


def described(**values):
    objects = json.dumps({"@type": "ImageObject", "contentUrl": "a.jpg", **values})
    return only(f'<title>Page</title><script type="application/ld+json">{objects}</script><img src="a.jpg">')


def test_links_are_absolute_without_fragments_and_each_once():
    page = read(
        '<a href="b.html#x">1</a><a href="b.html#y">2</a><a href="/c">3</a><a href="https://b.test/">4</a><a>5</a>'
    )
    assert page.links == ("http://a.test/dir/b.html", "http://a.test/c", "https://b.test/")


def test_only_links_into_the_web_count():
    assert read('<a href="mailto:a@b.test">1</a><a href="javascript:x()">2</a><a href="file:///etc">3</a>').links == ()


def test_the_base_of_a_page_is_honoured():
    page = read('<base href="/other/"><a href="b.html">1</a><img src="c.jpg">')
    assert page.links == ("http://a.test/other/b.html",)
    assert page.pictures[0].url == "http://a.test/other/c.jpg"


def test_a_picture_has_its_address_words_and_the_pages_title():
    picture = only('<title> My\n page </title><img src=" a.jpg " alt=" A cat ">')
    assert (picture.url, picture.kind, picture.alt, picture.title) == (
        "http://a.test/dir/a.jpg",
        "image",
        "A cat",
        "My\n page",
    )


def test_a_title_stands_in_for_an_alternative_text():
    assert only('<img src="a.jpg" title="A cat">').alt == "A cat"
    assert only('<img src="a.jpg" alt="A dog" title="A cat">').alt == "A dog"


def test_a_picture_that_is_shown_twice_is_there_once():
    assert len(read('<img src="a.jpg"><img src="a.jpg#x"><img src="b.jpg">').pictures) == 2


def test_pictures_without_an_address_of_the_web_are_left_out():
    assert (
        read('<img><img src=""><img src="data:image/png;base64,AAAA"><img src="file:///a.jpg"><video></video>').pictures
        == ()
    )


@pytest.mark.parametrize(
    "html", ['<video src="a.mp4"></video>', '<video><source src="a.mp4"><source src="b.webm"></video>']
)
def test_a_video_is_found_by_its_own_address_or_its_first_source(html):
    picture = only(html)
    assert (picture.url, picture.kind) == ("http://a.test/dir/a.mp4", "video")


def test_json_ld_says_who_made_a_picture_and_what_it_allows():
    picture = described(license=CC0, name="The cat", caption="A cat asleep", creator={"@type": "Person", "name": "Ann"})
    assert (picture.title, picture.alt, picture.author) == ("The cat", "A cat asleep", "Ann")
    assert picture.licence_evidence == (Evidence(where="json-ld", raw=CC0, scope="picture"),)


@pytest.mark.parametrize(
    ("creator", "author"), [("Ann", "Ann"), ({"name": "Ann"}, "Ann"), ({}, ""), (None, ""), ({"name": None}, "")]
)
def test_a_creator_is_a_name_or_an_object_with_one(creator, author):
    assert described(creator=creator).author == author


def test_json_ld_is_found_in_lists_and_graphs():
    inner = {"@type": "ImageObject", "contentUrl": "http://a.test/dir/a.jpg", "license": CC0}
    for nested in ([inner], {"@graph": [{"@type": "WebPage", "primaryImageOfPage": inner}]}):
        picture = only(f'<script type="application/ld+json">{json.dumps(nested)}</script><img src="a.jpg">')
        assert picture.licence_evidence[0].raw == CC0


def test_json_ld_about_another_picture_says_nothing_of_this_one():
    assert described(contentUrl="b.jpg", license=CC0).licence_evidence == ()


@pytest.mark.parametrize(
    "script",
    [
        "{",
        "",
        "[1, 2",
        "null",
        '"text"',
        "[" * 100_000,
        "1" * 5000,
        '{"@type": "ImageObject", "contentUrl": "http://["}',
    ],
)
def test_json_ld_that_is_none_says_nothing(script):
    picture = only(f'<script type="application/ld+json">{script}</script><img src="a.jpg" alt="A cat">')
    assert picture.alt == "A cat"
    assert picture.licence_evidence == ()


def test_half_a_surrogate_pair_in_json_ld_can_still_be_written():
    picture = described(name="a\ud800b", caption="\udfff", creator={"name": "\ud800"}, license="\ud800")
    for text in (picture.title, picture.alt, picture.author, picture.licence_evidence[0].raw):
        assert text.encode().decode() == text


def test_a_licence_in_the_pictures_figure_is_about_the_picture():
    html = f'<figure><img src="a.jpg"><a rel="license" href="{CC0}">x</a></figure><figure><img src="b.jpg"></figure>'
    first, second = read(html).pictures
    assert first.licence_evidence == (Evidence(where="rel=license", raw=CC0, scope="picture"),)
    assert second.licence_evidence == ()


def test_a_licence_outside_any_figure_is_about_the_page():
    html = f'<link rel="license" href="{CC0}"><img src="a.jpg"><figure><img src="b.jpg"><a rel="license nofollow" href="{BY}">x</a></figure>'
    first, second = read(html).pictures
    assert first.licence_evidence == (Evidence(where="rel=license", raw=CC0, scope="page"),)
    assert set(second.licence_evidence) == {
        Evidence(where="rel=license", raw=CC0, scope="page"),
        Evidence(where="rel=license", raw=BY, scope="picture"),
    }


@pytest.mark.parametrize("name", statements.LICENCE_METAS)
def test_a_licence_in_a_meta_element_is_about_the_page(name):
    picture = only(f'<meta name="{name.upper()}" content="{CC0}"><img src="a.jpg">')
    assert picture.licence_evidence == (Evidence(where=f"meta {name}", raw=CC0, scope="page"),)


def test_the_author_of_the_figure_goes_before_the_pages():
    html = '<meta name="author" content="Page"><figure><img src="a.jpg"><a rel="author" href="/">Ann Lee</a></figure><img src="b.jpg">'
    assert [picture.author for picture in read(html).pictures] == ["Ann Lee", "Page"]


@pytest.mark.parametrize("content", ["noai", "nofollow, NoAI", "noimageai,x", "noml"])
@pytest.mark.parametrize("name", ["robots", "Robots", "darkroom"])
def test_an_opt_out_in_a_meta_element_is_kept_raw(name, content):
    page = pages.read(f'<meta name="{name}" content="{content}">'.encode(), URL, {}, agent="Darkroom")
    assert page.signals == (
        Signal(layer="html", kind="meta robots", raw=content, verdict="deny", category="train-any", scope="page"),
    )


@pytest.mark.parametrize(
    "html",
    [
        '<meta name="robots" content="nofollow">',
        '<meta name="author" content="noai">',
        '<meta name="robots">',
        '<meta name="otherbot" content="noai">',
    ],
)
def test_what_is_no_opt_out_is_not_taken_for_one(html):
    page = pages.read(html.encode(), URL, {}, agent="Darkroom")
    assert page.signals == ()


def test_an_opt_out_in_the_header_of_a_page_is_about_the_page():
    assert read("", {"x-robots-tag": "noai"}).signals == (
        Signal(layer="http", kind="x-robots-tag", raw="noai", verdict="deny", category="train-any", scope="page"),
    )


def test_a_reservation_and_a_licence_of_rsl_are_kept_raw():
    html = (
        '<meta name="tdm-reservation" content="1"><link rel="license" href="/l.html">'
        '<link rel="license" type="application/rsl+xml" href="/l.xml">'
    )
    assert (read(html).tdm, read(html).rsl) == ("1", ("/l.xml",))
    assert (read("").tdm, read("").rsl) == ("", ())


SRCSETS = [
    ('<img src="a.jpg" srcset="b.jpg 640w, c.jpg 1280w">', "c.jpg"),
    ('<img src="a.jpg" srcset="b.jpg 2x">', "b.jpg"),
    ('<img src="a.jpg" srcset="b.jpg, c.jpg 1.5x">', "c.jpg"),
    ('<img srcset="b.jpg">', "b.jpg"),
    ('<img src="a.jpg" srcset="b,1.jpg 10w,c,2.jpg 20w">', "c,2.jpg"),
    ('<img src="a.jpg" srcset="">', "a.jpg"),
    ('<img src="data:image/gif;base64,R0lGOD" data-src="b.jpg">', "b.jpg"),
    ('<img src="small.jpg" data-srcset="b.jpg 300w, c.jpg 900w">', "c.jpg"),
    ('<picture><source srcset="b.webp 900w, c.webp 100w"><img src="a.jpg" srcset="d.jpg 800w"></picture>', "b.webp"),
    ('<picture><source srcset="b.webp 900w"><img src="a.jpg" srcset="d.jpg 900w"></picture>', "d.jpg"),
    ('<img src="data:image/gif;base64,R0lGOD" data-original="x.jpg">', "x.jpg"),
]


@pytest.mark.parametrize(("html", "best"), SRCSETS)
def test_of_several_addresses_of_a_picture_the_best_is_taken(html, best):
    assert [picture.url for picture in read(html).pictures] == [urljoin(URL, best)]


@pytest.mark.parametrize("srcset", ["a" * 300_000 + " b c", "a," * 150_000, " ," * 150_000, "a 1w," * 60_000])
def test_a_hostile_srcset_takes_no_second(srcset):
    started = time.process_time()
    read(f'<img src="a.jpg" srcset="{srcset}">')
    assert time.process_time() - started < 1.0


def test_what_is_said_of_one_address_of_a_picture_is_said_of_the_best():
    described = json.dumps({"@type": "ImageObject", "contentUrl": "a.jpg", "license": CC0})
    html = f'<script type="application/ld+json">{described}</script><img src="a.jpg" srcset="b.jpg 2x">'
    assert [each.raw for each in only(html).licence_evidence] == [CC0]


def test_name_and_password_in_an_address_are_left_out():
    page = read('<a href="http://me:secret@other.test/a#b">x</a><img src="http://me:secret@other.test/a.jpg">')
    assert page.links == ("http://other.test/a",)
    assert [picture.url for picture in page.pictures] == ["http://other.test/a.jpg"]


@pytest.mark.parametrize(
    "html", ['<a href="http://[">1</a>', '<img src="http://[">', '<a href="http://]/">1</a>', '<img src="//[x/a.jpg">']
)
def test_an_address_that_is_none_is_passed_over(html):
    page = read(html + '<img src="a.jpg">')
    assert [picture.url for picture in page.pictures] == ["http://a.test/dir/a.jpg"]
    assert page.links == ()


def test_a_base_that_is_no_address_is_passed_over():
    assert only('<base href="http://["><img src="a.jpg">').url == "http://a.test/dir/a.jpg"


@pytest.mark.parametrize(
    "html", ["<![foo[<img src=x>", "http://a.test/b", "index.html", "", '<?xml version="1.0"?><html></html>', "\x00"]
)
def test_what_is_no_page_shows_nothing_and_warns_of_nothing(html):
    assert read(html).pictures == ()


def test_a_page_nested_twenty_thousand_deep_is_read():
    assert len(read("<div>" * 20_000 + '<img src="a.jpg">').pictures) == 1


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_page_makes_it_raise(html):
    read(html.encode(errors="replace").decode() if isinstance(html, str) else html)


TAGS = st.sampled_from(
    ["img", "a", "base", "figure", "meta", "video", "source", "link", "/figure", "![if", "!--", "?xml"]
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["src", "href", "rel", "name", "content", "alt"]),
    st.sampled_from(["", "a.jpg", "http://[", "//", "license", "robots", "noai", "data:,", "\x00", "&#xD800;", "?"]),
    max_size=3,
)


@given(st.lists(st.tuples(TAGS, ATTRIBUTES), max_size=6))
def test_no_markup_makes_it_raise(elements):
    html = "".join(
        f"<{tag} " + " ".join(f'{key}="{value}"' for key, value in found.items()) + ">" for tag, found in elements
    )
    for picture in read(html).pictures:
        assert picture.url.startswith("http")
