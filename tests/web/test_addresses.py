"""Addresses as they are asked for: one spelling each, and nobody's password in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import FetchError
from stages.web import addresses

SPELLINGS = [
    ("http://a.test", "http://a.test/"),
    ("HTTP://A.Test/B", "http://a.test/B"),
    ("http://a.test:80/b", "http://a.test/b"),
    ("https://a.test:443/b", "https://a.test/b"),
    ("http://a.test:443/b", "http://a.test:443/b"),
    ("http://a.test/b#c", "http://a.test/b"),
    ("http://me:secret@a.test/b", "http://a.test/b"),
    ("http://me@a.test:81/b", "http://a.test:81/b"),
    ("http://a@b@c.test/", "http://c.test/"),
    ("http://a.test/@b", "http://a.test/@b"),
    ("http://a.test/?q=me@b", "http://a.test/?q=me@b"),
    ("http://b\u00fccher.test/\u00e4 b?\u00fc=1 2", "http://xn--bcher-kva.test/%C3%A4%20b?%C3%BC=1%202"),
    ("http://a.test/%7Eb?c=%26", "http://a.test/%7Eb?c=%26"),
    ("http://[::1]:8080/a", "http://[::1]:8080/a"),
    ("  http://a.test/b \n", "http://a.test/b"),
]


@pytest.mark.parametrize(("given_one", "clean"), SPELLINGS)
def test_an_address_has_one_spelling(given_one, clean):
    assert addresses.clean(given_one) == clean
    assert addresses.clean(clean) == clean


@pytest.mark.parametrize(
    "url",
    ["", "a", "/a", "http://", "http:///a", "file:///etc/passwd", "ftp://a.test/", "javascript:1", "data:,a", "http://[",
     "http://a.test:99999/", "http://a.test:x/", "http://.test/", "http://" + "a" * 70 + ".test/"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused(url):
    with pytest.raises(FetchError, match=r"not an address|only http and https"):
        addresses.clean(url)


@pytest.mark.parametrize("url", ["http://me:secret@[", "ftp://me:secret@a.test/", "http://me:secret@a.test:x/"])
def test_no_refusal_repeats_a_password(url):
    with pytest.raises(FetchError) as caught:
        addresses.clean(url)
    assert "secret" not in str(caught.value)


def test_an_address_is_joined_to_its_page_or_is_nothing():
    assert addresses.joined("http://a.test/b/c", "../d e") == "http://a.test/d%20e"
    assert addresses.joined("http://a.test/b", "//c.test/d") == "http://c.test/d"
    assert addresses.joined("http://a.test/b", "mailto:x@y") == ""
    assert addresses.joined("http://a.test/b", "http://[") == ""


def test_the_parts_of_an_address():
    url = "http://a.test:81/b?c"
    assert (addresses.origin(url), addresses.host(url), addresses.target(url)) == (
        "http://a.test:81",
        "a.test:81",
        "/b?c",
    )


@given(tail=st.text(max_size=40))
def test_whatever_follows_the_host_an_address_is_clean_or_refused(tail):
    try:
        clean = addresses.clean("http://a.test/" + tail)
    except FetchError:
        return
    assert addresses.clean(clean) == clean
    assert clean.isascii()
    assert not set(clean) & set(" \r\n\t")
