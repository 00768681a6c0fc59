"""The score of captions among themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.caption import agreement

TEXTS = st.lists(st.sampled_from(["a", "cat", "dog.", "Cat", ""]), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("a red cat", "a red cat", 1.0),
        ("A cat, red!", "red a CAT", 1.0),
        ("a cat", "the dog", 0.0),
        ("a red cat", "a cat", 0.8),  # 2 shared, 5 in all
        ("cat cat", "cat", 2 / 3),
        ("", "", 0.0),
        ("a", "", 0.0),
    ],
)
def test_the_f1_of_shared_words(one, other, score):
    assert agreement.token_f1(one, other) == pytest.approx(score)


def test_each_scores_its_mean_with_the_others():
    assert agreement.scores(["a cat", "a cat", "a dog"]) == [0.75, 0.75, 0.5]


def test_alone_or_nobody_there_is_no_agreement():
    assert agreement.scores(["a cat"]) == [0.0]
    assert agreement.scores([]) == []


@given(TEXTS, TEXTS)
def test_it_is_the_same_both_ways_and_between_none_and_all(one, other):
    score = agreement.token_f1(one, other)
    assert score == agreement.token_f1(other, one)
    assert 0 <= score <= 1


@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_the_order_of_the_captions_changes_no_score(texts):
    assert agreement.scores(texts[::-1]) == agreement.scores(texts)[::-1]
