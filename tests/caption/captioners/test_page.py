"""The page's own words: the alternative text, or else the title."""

import pytest

PAGE = {"name": "page", "titles": True}


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
def test_a_title_stands_in_where_it_may_and_no_pixels_are_read(alt, title, titles, words, said, view):
    assert said(PAGE | {"titles": titles}, [view(alt=alt, title=title)]) == [words]


def test_every_picture_is_told_of_in_order(said, view):
    assert said(PAGE, [view(alt="one"), view(alt="two"), view(alt="one")]) == ["one", "two", "one"]
