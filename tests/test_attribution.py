"""Licence and credit inside a file, and nothing else."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.attribution import encode_png, packet
from stages.images import decode
from stages.records import Item
from stages.shards import Place

PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
CREDIT = "{http://ns.adobe.com/photoshop/1.0/}Credit"
TERMS = "{http://ns.adobe.com/xap/1.0/rights/}UsageTerms"


def item(**others):
    said = {"url": "https://a.test/x.jpg", "page": "https://a.test/home", "kind": "image", "alt": "at home"}
    said |= {"title": "us", "author": "", "credit": "", "licence": "", "licence_evidence": (), "signals": ()}
    return Item(
        **(said | {"id": "a", "consent": "", "group": "", "place": Place(shard="s", offset=0, size=1)} | others)
    )


def read(xmp):
    """Credit and licence in the packet."""
    tree = ET.fromstring(xmp[xmp.index("<x:") : xmp.index("<?xpacket end")])
    return tree.find(f".//{CREDIT}").text, tree.find(f".//{TERMS}")[0][0].text


def test_the_file_holds_the_pixels_and_licence_and_credit():
    png = encode_png(PIXELS, item(licence="CC-BY-4.0", credit="A & B <c@d.test>", author="Anna"))
    assert (decode(png) == PIXELS).all()
    with Image.open(io.BytesIO(png)) as image:
        assert set(image.info) == {"xmp", "XML:com.adobe.xmp"}  # Pillow has two names for it
        assert read(image.info["XML:com.adobe.xmp"]) == ("A & B <c@d.test>", "CC-BY-4.0")


def test_where_no_credit_is_asked_for_the_author_is_named():
    assert read(packet(item(author="Anna", licence="CC-BY-4.0"))) == ("Anna", "CC-BY-4.0")


def test_nothing_of_where_it_was_found_is_told():
    xmp = packet(item(licence="CC0-1.0", credit="Anna"))
    assert not any(word in xmp for word in ("a.test", "home", "us<"))


def test_of_what_nothing_is_known_nothing_is_said():
    assert packet(item()) == ""
    with Image.open(io.BytesIO(encode_png(PIXELS, item()))) as image:
        assert image.info == {}


def test_the_same_picture_gives_the_same_file():
    said = item(licence="CC0-1.0", credit="Anna")
    assert encode_png(PIXELS, said) == encode_png(PIXELS, said)


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_any_text_from_the_web_makes_sound_xml(text):
    xmp = packet(item(licence="CC0-1.0", credit=text))
    assert read(xmp)[1] == "CC0-1.0"


@pytest.mark.parametrize("text", ["\x00\x01", "\ufffe", "\ud800", " \n "])
def test_letters_that_xml_cannot_hold_are_left_out(text):
    assert packet(item(credit=text)) == ""
