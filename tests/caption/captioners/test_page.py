"""The page's own words: the alternative text, or else the title."""

import pytest

from stages.caption.captioners.page import Config, build
from stages.records import Item
from stages.shards import Place


@pytest.mark.parametrize(
    ("alt", "title", "titles", "words"),
    [
        ("a cat", "Cats", True, "a cat"),
        ("a cat", "Cats", False, "a cat"),
        ("", "Cats", True, "Cats"),
        ("", "Cats", False, ""),
        ("", "", True, ""),
    ],
)
def test_a_title_stands_in_where_it_may(alt, title, titles, words):
    said = {"url": "file:a", "page": "", "kind": "image", "author": "", "licence": "", "consent": ""}
    place = Place(shard="s", offset=0, size=1)
    item = Item(id="a", alt=alt, title=title, licence_evidence=(), signals=(), credit="", place=place, **said)
    assert build(Config(titles=titles))(item) == words
