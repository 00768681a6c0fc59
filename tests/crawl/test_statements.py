"""Which statement belongs to which picture, in every syntax, and that no page, however hostile, stops a crawl."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import rights
from stages.crawl import pages, statements
from stages.records import Evidence
from stages.web import addresses

PAGE = "http://a.test/dir/page.html"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
BY = "https://creativecommons.org/licenses/by/4.0/"
NC = "https://creativecommons.org/licenses/by-nc/4.0/"


def read(html):
    """What is said of each picture of ``html``, by the last part of its address."""
    soup = pages._parsed(html.encode(errors="replace"))
    found = statements.read(soup, PAGE)
    return {
        img["src"]: found.about(img, [addresses.joined(PAGE, img["src"])]) for img in soup.find_all("img", src=True)
    }


def only(html):
    (said,) = read(html).values()
    return said


def picture(raw, where):
    return Evidence(where=where, raw=raw, scope="picture")


def on_page(raw, where):
    return Evidence(where=where, raw=raw, scope="page")


def ld(value, html='<img src="a.jpg">'):
    return read(f'<script type="application/ld+json">{json.dumps(value)}</script>{html}')


def described(**values):
    return ld({"@type": "ImageObject", "contentUrl": "a.jpg", **values})["a.jpg"]


def test_json_ld_says_all_that_google_and_iptc_ask_for():
    said = described(
        license=CC0,
        acquireLicensePage="http://a.test/buy",
        creditText="Ann / Agency",
        copyrightNotice="© Ann",
        creator=[{"@type": "Person", "name": "Ann"}, "Bob"],
        name="The cat",
        caption="A cat asleep",
    )
    assert (said.title, said.caption, said.author, said.credit) == (
        "The cat",
        "A cat asleep",
        "Ann, Bob",
        "Ann / Agency",
    )
    assert said.evidence == (
        picture(CC0, "json-ld"),
        picture("© Ann", "json-ld copyrightNotice"),
        picture("http://a.test/buy", "json-ld acquireLicensePage"),
    )
    assert rights.licence_of(said.evidence) == "CC0-1.0"


@pytest.mark.parametrize("value", [CC0, [CC0], {"@id": CC0}, {"@type": "CreativeWork", "url": CC0}, [{"@id": CC0}]])
def test_a_licence_of_json_ld_is_a_text_an_object_or_a_list(value):
    assert described(license=value).evidence == (picture(CC0, "json-ld"),)


@pytest.mark.parametrize(
    "kind", ["ImageObject", "schema:ImageObject", "https://schema.org/ImageObject", ["Photograph", "x"]]
)
@pytest.mark.parametrize("key", ["contentUrl", "url", "@id", "thumbnailUrl"])
def test_an_object_of_any_kind_of_picture_is_known_by_any_of_its_addresses(kind, key):
    said = ld({"@graph": [{"@type": "WebPage", "image": [{"@type": kind, key: "/dir/a.jpg#x", "license": BY}]}]})[
        "a.jpg"
    ]
    assert said.evidence == (picture(BY, "json-ld"),)


def test_a_creator_that_stands_elsewhere_in_the_graph_is_found():
    person, image = {"@id": "#ann", "name": "Ann"}, {"@type": "ImageObject", "url": "a.jpg", "creator": {"@id": "#ann"}}
    assert ld({"@graph": [image, person]})["a.jpg"].author == "Ann"


def test_json_ld_about_another_picture_or_about_the_page_as_a_picture_says_nothing_of_this_one():
    other = {"@type": "ImageObject", "contentUrl": "b.jpg", "url": PAGE, "@id": f"{PAGE}#primary", "license": NC}
    assert ld(other)["a.jpg"].evidence == ()


def test_json_ld_of_the_page_is_about_the_page_and_names_nobody():
    said = ld({"@type": "WebPage", "name": "Page", "author": "Ed", "license": BY, "copyrightNotice": "© Ed"})["a.jpg"]
    assert said.evidence == (on_page(BY, "json-ld"), on_page("© Ed", "json-ld copyrightNotice"))
    assert (said.title, said.author) == ("", "")


def test_two_objects_of_one_picture_are_both_kept_and_the_strictest_counts():
    objects = [{"@type": "ImageObject", "contentUrl": "a.jpg", "license": each} for each in (BY, NC)]
    said = ld(objects)["a.jpg"]
    assert said.evidence == (picture(BY, "json-ld"), picture(NC, "json-ld"))
    assert rights.licence_of(said.evidence) == "CC-BY-NC-4.0"


MICRODATA = f"""
<div itemscope itemtype="https://schema.org/ImageObject">
  <img src="a.jpg" itemprop="contentUrl">
  <span itemprop="creator" itemscope itemtype="https://schema.org/Person"><meta itemprop="url" content="b.jpg">
    <b itemprop="name">Ann Lee</b></span>
  <h2 itemprop="name">The <i>cat</i></h2> <span itemprop="creditText">Ann / Agency</span>
  <a itemprop="license" href="{BY}">licence</a> <meta itemprop="copyrightNotice" content="© Ann">
</div><img src="b.jpg">"""


def test_microdata_says_what_belongs_to_its_item_and_nothing_of_others():
    first, second = read(MICRODATA).values()
    assert (first.title, first.author, first.credit) == ("The cat", "Ann Lee", "Ann / Agency")
    assert first.evidence == (picture(BY, "microdata"), picture("© Ann", "microdata copyrightNotice"))
    assert (second.evidence, second.author) == ((), "")


def test_microdata_of_something_else_is_passed_over():
    assert only(f'<div itemscope itemtype="x/Recipe"><img src="a.jpg" itemprop="url"><a itemprop="license" href="{BY}">x</a></div>').evidence == ()  # fmt: skip


@pytest.mark.parametrize(
    "html",
    [
        f'<a rel="license" about="a.jpg" href="{BY}">x</a>',
        f'<div about="/dir/a.jpg"><p><a rel="cc:license" href="{BY}">x</a></p></div>',
        f'<span about="a.jpg" rel="dct:license" resource="{BY}"></span>',
        f'<div resource="a.jpg" typeof="ImageObject"><a property="license" href="{BY}">x</a></div>',
        f'<div about="a.jpg"><span property="http://schema.org/license" content="{BY}"></span></div>',
        f'<div about="a.jpg"><span property="http://creativecommons.org/ns#license" resource="{BY}"></span></div>',
    ],
)
def test_rdfa_and_ccrel_are_about_the_address_that_they_name(html):
    first, second = read(f'{html}<img src="a.jpg"><img src="b.jpg">').values()
    assert first.evidence == (picture(BY, "rdfa"),)
    assert second.evidence == ()


def test_ccrel_names_author_and_title():
    html = '<div about="a.jpg"><i property="dct:title">The cat</i> <a rel="cc:attributionURL" property="cc:attributionName" href="x">Ann</a></div>'
    said = only(html.replace(' href="x"', "") + '<img src="a.jpg">')
    assert (said.title, said.author) == ("The cat", "Ann")


def test_rdfa_about_the_page_is_about_the_page():
    assert only(f'<a about="" rel="license" href="{BY}">x</a><img src="a.jpg">').evidence == (on_page(BY, "rdfa"),)
    assert only(f'<a about="{PAGE}" rel="license" href="{BY}">x</a><img src="a.jpg">').evidence == (
        on_page(BY, "rdfa"),
    )


def test_what_names_the_page_is_about_the_page_even_in_a_figure():
    html = f'<figure><img src="a.jpg"><a about="" rel="license" href="{BY}">x</a></figure>'
    assert only(html).evidence == (on_page(BY, "rdfa"),)


def test_the_pictures_own_figure_goes_before_the_page():
    html = f'<link rel="license" href="{NC}"><figure><img src="a.jpg"><a rel="license" href="{CC0}">x</a></figure><img src="b.jpg">'
    first, second = read(html).values()
    assert [each.scope for each in first.evidence] == ["picture", "page"]
    assert rights.licence_of(first.evidence) == "CC0-1.0"
    assert rights.licence_of(second.evidence) == "CC-BY-NC-4.0"


def test_of_figures_in_figures_the_nearest_counts():
    html = f'<figure><a rel="license" href="{BY}">x</a><figure><img src="a.jpg"></figure></figure>'
    assert only(html).evidence == ()


@pytest.mark.parametrize("name", statements.LICENCE_METAS)
@pytest.mark.parametrize("key", ["name", "property"])
def test_a_meta_element_is_about_the_page(name, key):
    assert only(f'<meta {key}="{name.upper()}" content="{CC0}"><img src="a.jpg">').evidence == (
        on_page(CC0, f"meta {name}"),
    )


def test_open_graph_gives_a_title_where_there_is_none():
    assert only('<meta property="og:title" content="The cat"><img src="a.jpg">').title == "The cat"
    assert only('<title>Page</title><meta property="og:title" content="The cat"><img src="a.jpg">').title == "Page"


def test_of_very_many_statements_the_licence_is_unknown():
    links = "".join(f'<a rel="license" href="{CC0}?{n}">x</a>' for n in range(1000))
    said = only(f'{links}<img src="a.jpg">')
    assert len(said.evidence) == statements.MOST
    assert said.evidence[-1].raw == "951 more statements"
    assert rights.licence_of(said.evidence) == ""


def test_a_value_of_a_million_letters_is_cut_and_is_no_licence():
    said = described(license="CC BY 4.0" + " " * 1_000_000, creator="x" * 1_000_000, name="y" * 1_000_000)
    assert max(map(len, (said.title, said.author, said.evidence[0].raw))) <= statements.LONGEST
    assert rights.licence_of(described(license="CC BY 4.0 " + "x" * 1_000_000).evidence) == ""


@pytest.mark.parametrize(
    "html",
    [
        "<div itemscope itemprop=name>" * 2000,
        '<div about="a.jpg" property="name">' * 2000,
        '<figure><a rel="author">' * 2000,
        f'<a rel="license" href="{BY}"><img src="b.jpg">' * 2000,
    ],
)
def test_a_page_made_to_be_slow_is_not(html):
    start = time.process_time()
    read(f'{html}<img src="a.jpg">')
    assert time.process_time() - start < 20  # seconds; a quadratic reader takes minutes


@pytest.mark.parametrize("value", [[[[BY]]], {"@id": 5}, 5, None, True, {"url": {"url": BY}}, "", [None, {}]])
def test_a_licence_of_no_sense_is_passed_over(value):
    assert described(license=value, creator=value, name=value, creditText=value).evidence == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["ImageObject", "a.jpg", BY, "http://[", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@type", "@id", "@graph", "contentUrl", "license", "creator", "name"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_makes_it_raise(value):
    for each in ld(value)["a.jpg"].evidence:
        assert each.raw.encode()


TAGS = st.sampled_from(["div", "a", "figure", "/figure", "/div", "meta", "span", "link", "img", "!--", "![x"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["itemscope", "itemprop", "itemtype", "about", "resource", "typeof", "rel", "property", "href", "src"]
    ),
    st.sampled_from(["", "license", "name url", "a.jpg", "http://[", "x/ImageObject", "cc:license", "\x00", BY]),
    max_size=4,
)


@given(st.lists(st.tuples(TAGS, ATTRIBUTES), max_size=8))
def test_no_markup_makes_it_raise(elements):
    html = "".join(f"<{tag} " + " ".join(f'{k}="{v}"' for k, v in each.items()) + ">" for tag, each in elements)
    read(html)
