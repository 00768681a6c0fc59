"""What is removed from captions, what stays, and that nothing removed is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.caption.private import KINDS, Config, cleaned, people

ALL = {
    "mail": "drop",
    "phone": "drop",
    "url": "drop",
    "handle": "drop",
    "names": "mask",
    "known": (),
    "region": "",
    "finder": None,
}


def config(**others):
    return Config(**(ALL | others))


@pytest.mark.parametrize(
    ("text", "left", "kind"),
    [
        ("write to ada@example.org today", "write to today", "mail"),
        ("mailto:ada.l+x@mail.example.co.uk", "", "mail"),
        ("call +44 20 7946 0958 now", "call now", "phone"),
        ("call (+49) 30 901820", "call", "phone"),
        ("seen at https://example.org/a?b=1, twice", "seen at, twice", "url"),
        ("more on www.example.org.", "more on.", "url"),
        ("more on example.com/cats", "more on", "url"),
        ("a cat (example.org)", "a cat", "url"),
        ("a cat by @ada_l", "a cat by", "handle"),
        ("portrait of Dr. Ada Lovelace in London", "portrait of someone in London", "names"),
        ("a cat, photo by Ada Lovelace", "a cat", "names"),
        ("a cat. Photo: Ada Lovelace", "a cat.", "names"),
        ("a cat \u00a9 Ada Lovelace", "a cat", "names"),
        ("a cat, Copyright 1998 \u00c9mile Zola", "a cat", "names"),
        ("a cat (photographed by A. Lovelace)", "a cat", "names"),
        ("a cat, courtesy of Ada van Lovelace", "a cat", "names"),
    ],
)
def test_what_is_nobodys_business_goes_and_is_counted(text, left, kind):
    assert cleaned(text, (), config()) == (left, {kind: 1})


@pytest.mark.parametrize(
    "text",
    [
        "a red cat on grass, 3 of 12, in 1998",
        "a painting of the 1920s at 12:30, f/2.8, 1/250 s",
        "St. Petersburg at night, No. 7",
        "a picture of a lake by the road",
        "a walk by Golden Gate Bridge",
        "a photo of New York",
        "picture: Grand Canyon",
        "a photo by \u00e9tang bleu",
        "3 @ 5 dollars",
        "it says e.g. this and i.e. that",
        "shot from above, taken at dawn",
        "Saturn V rocket 2024-05-01 12345678",
    ],
)
def test_what_only_looks_private_stays(text):
    assert cleaned(text, (), config()) == (text, {})


def test_the_authors_name_is_masked_wherever_it_stands():
    text = "ada lovelace and a cat; Ada Lovelace"
    assert cleaned(text, ("Ada Lovelace",), config()) == ("someone and a cat; someone", {"names": 2})


def test_an_author_of_a_single_word_is_no_person():
    assert [people(author) for author in ("NASA", "", "Ada Lovelace")] == [(), (), ("Ada Lovelace",)]


def test_a_name_is_text_and_no_pattern():
    assert cleaned("a cat", ("(a .*",), config()) == ("a cat", {})


@pytest.mark.parametrize("name", ["", " ", "."])
def test_a_known_name_without_a_letter_which_stands_everywhere_is_refused(name):
    with pytest.raises(ValidationError, match="known"):
        config(known=("Ada L.", name))


def test_known_names_are_masked_or_dropped():
    assert cleaned("Ada L. smiles", (), config(known=("Ada L.",))) == ("someone smiles", {"names": 1})
    assert cleaned("Ada L. smiles", (), config(known=("Ada L.",), names="drop")) == ("smiles", {"names": 1})


def test_numbers_without_plus_need_a_country():
    assert cleaned("call 020 7946 0958", (), config()) == ("call 020 7946 0958", {})
    assert cleaned("call 020 7946 0958", (), config(region="GB")) == ("call", {"phone": 1})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("mail", "ada@example.test"),
        ("phone", "+44 20 7946 0958"),
        ("url", "https://example.org/a"),
        ("handle", "of @ada_l"),
        ("names", "Dr. Ada Lovelace"),
    ],
)
def test_what_may_be_kept_is_kept(kind, text):
    assert cleaned(text, (), config(**{kind: "keep"})) == (text, {})
    assert cleaned(text, (), config()) != (text, {})


def test_every_kind_has_its_setting():
    assert set(KINDS) == set(ALL) - {"known", "region", "finder"}


PIECES = st.sampled_from(
    ["a", "cat", "@ada", "ada@b.org", "www.x.com", "https://", "(", ")", ",", "photo by", "Ada", "Lovelace", "Dr.", "+44 20 7946 0958",
     "\u00a9", ":", "x@", ".com", "-", "+4", "4 20 7946 0958", "Photo", "by"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12), st.sampled_from(["", " "]), st.sampled_from(["mask", "drop"]))
def test_cleaning_twice_is_cleaning_once(pieces, glue, names):
    once, _ = cleaned(glue.join(pieces), ("Ada Lovelace",), config(names=names))
    assert cleaned(once, ("Ada Lovelace",), config(names=names)) == (once, {})
