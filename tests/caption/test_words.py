"""What is left of a model's words, and where a caption is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.caption import words

TEXTS = st.text(st.sampled_from('ab<|>/s*"`[]UNK \u200b\n\u0301é.,'), max_size=40)
PHRASES = st.lists(st.sampled_from(["a", "cat,", "Cat", "on", "the", "sofa."]), max_size=40).map(" ".join)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  two\n\tcoins \u00a0 here ", "two coins here"),
        ("\u001b[31mred\u001b[0m", "[31mred[0m"),
        ("abc\u202edef\u200b", "abcdef"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    ],
)
def test_text_is_folded_to_one_line_of_what_is_seen(text, said):
    assert words.folded(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a cat</s>", "a cat"),
        ("<|im_start|>a cat<|im_end|>", "a cat"),
        ('"A cat."', "A cat."),
        ("**a cat**", "a cat"),
        ("</s><pad><pad>", ""),
        ("<|<|x|>endoftext|>", ""),
        (" . , !", ""),
        ("", ""),
        ("a <b> cat", "a <b> cat"),
        ('"A" and "B"', 'A" and "B'),
    ],
)
def test_special_tokens_and_quotes_around_all_go(text, said):
    assert words.spoken(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a cat cat cat cat", "a cat"),
        ("a very very long road", "a very very long road"),
        ("the sea, the sea, the sea, the sea", "the sea,"),
        ("on a table on a table on a table with a cup", "on a table with a cup"),
        ("Cat. cat cat", "Cat."),
        ("a b a b a b a b c c c", "a b c"),
        ("", ""),
    ],
)
def test_what_is_said_without_end_is_said_once(text, said):
    assert words.unrepeated(text) == said


@given(TEXTS)
def test_cleaning_twice_is_cleaning_once(text):
    once = words.spoken(text)
    assert words.spoken(once) == once
    assert words.folded(words.folded(text)) == words.folded(text)


@given(PHRASES)
def test_shortening_twice_is_shortening_once_and_adds_nothing(text):
    once = words.unrepeated(text)
    assert words.unrepeated(once) == once
    assert set(once.split()) <= set(text.split())


@given(
    st.lists(st.sampled_from(["a", "cat,", "-", "sofa."]), max_size=12).map(" ".join),
    st.integers(1, 9),
    st.integers(0, 30),
)
def test_a_cut_never_exceeds_its_limits_and_is_a_beginning(text, most, letters):
    def fits(some):
        return len(some) <= letters

    short = words.cut(text, most=most, fits=fits)
    assert text.startswith(short)
    assert short == text or (len(short.split()) <= most and fits(short))
    assert not short or text[len(short) :][:1] in ("", " ", ",")


def test_what_may_stay_is_left_as_it_is():
    assert words.cut("a cat,", most=2, fits=lambda some: True) == "a cat,"


def test_a_cut_leaves_no_comma_at_the_end():
    assert words.cut("a cat, a dog", most=2, fits=lambda some: True) == "a cat"
