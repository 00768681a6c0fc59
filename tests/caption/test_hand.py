"""What somebody wrote by hand, and what wins over what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.caption import hand
from stages.errors import SourceError
from stages.records import Frame
from stages.shards import Place


@pytest.fixture
def written(item):
    """What was written about a frame of an item, given the file's texts."""

    def ask(texts, **said):
        place = Place(shard="s", offset=0, size=1)
        frame = Frame(id="f" * 8, item="i" * 8, pts=0, time_base="", time_ms=0.0, store="crawl", place=place)
        return hand.Written(texts).about(item(id="i" * 8, **said), frame)

    return ask


def test_the_file_is_read_in_its_order(tmp_path):
    (tmp_path / "captions.yaml").write_text('"file:*": all\n"file:a.jpg": "a cat: on a wall"\n"x": ""\n')
    assert list(hand.read(tmp_path).texts.items()) == [("file:*", "all"), ("file:a.jpg", "a cat: on a wall"), ("x", "")]


@pytest.mark.parametrize("content", [None, "", "# nothing yet\n"])
def test_without_a_file_or_with_an_empty_one_nothing_is_written(content, tmp_path):
    if content is not None:
        (tmp_path / "captions.yaml").write_text(content)
    assert hand.read(tmp_path).texts == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "is not YAML"),
        ("- a\n- b\n", "each line maps"),
        ("a: 3\n", "each line maps"),
        ("3: a\n", "each line maps"),
        ("a: !!python/object:os.system x\n", "is not YAML"),
    ],
)
def test_a_file_that_says_something_else_is_refused(content, message, tmp_path):
    (tmp_path / "captions.yaml").write_text(content)
    with pytest.raises(SourceError, match=message):
        hand.read(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "captions.yaml").write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(SourceError, match="is not YAML"):
        hand.read(tmp_path)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({}, None),
        ({"other": "x"}, None),
        ({"https://a.test/*": "one", "*.png": "two"}, "two"),
        ({"https://a.test/a.png": "one"}, "one"),
        ({"i" * 8: "item", "*": "pattern"}, "item"),
        ({"i" * 8: "item", "f" * 8: "frame"}, "frame"),
        ({"https://a.test/a.png": "address", "*": "pattern"}, "address"),
        ({"https://a.test/[ab].png": "one", "https://a.test/c*": "two"}, "one"),
        ({"*": ""}, ""),
    ],
)
def test_what_is_more_exact_wins_and_of_patterns_the_last_that_fits(texts, found, written):
    assert written(texts) == found


def test_a_sidecar_is_written_by_hand_and_alternative_text_is_not(written):
    assert written({}, page="", url="file:a.png", alt="a cat") == "a cat"
    assert written({}, page="https://a.test/", alt="a cat") is None
    assert written({}, page="", alt="") is None
    assert written({"file:*": "a dog"}, page="", url="file:a.png", alt="a cat") == "a dog"


@given(
    st.dictionaries(st.sampled_from(["*", "https:*", "*.png", "file:*", "x"]), st.text(max_size=9)), st.text(max_size=9)
)
def test_an_id_always_wins(texts, mine):
    from stages.records import Item

    place = Place(shard="s", offset=0, size=1)
    said = {"url": "https://a.test/a.png", "page": "", "kind": "image", "alt": "beside", "title": "", "author": ""}
    said |= {
        "credit": "",
        "licence": "",
        "licence_evidence": (),
        "signals": (),
        "consent": "",
        "group": "",
        "place": place,
    }
    frame = Frame(id="frame", item="item", pts=0, time_base="", time_ms=0.0, store="crawl", place=place)
    assert hand.Written(texts | {"item": mine}).about(Item(id="item", **said), frame) == mine
