"""Themes of captions, by their words."""

import numpy as np
import pytest

from stages.feedback.themes import clustered, table, themes

CATS = ["a cat on a sofa", "the cat sleeps on the sofa", "a grey cat, a sofa", "cat and sofa"]
BOATS = ["a boat at sea", "a small boat, the open sea", "boat on a rough sea", "sea and boat"]


@pytest.mark.parametrize("seed", range(5))
def test_captions_whose_words_are_alike_share_a_theme_named_by_them(seed):
    found = themes([*CATS, *BOATS], most=2, seed=seed)
    assert {found[text] for text in CATS} == {"cat sofa"}
    assert {found[text] for text in BOATS} in ({"boat sea"}, {"sea boat"})


def test_neither_order_nor_number_of_captions_changes_themes():
    texts = [*CATS, *BOATS]
    assert themes(texts, most=3, seed=0) == themes([*texts[::-1], *CATS, *CATS], most=3, seed=0)


def test_there_are_no_more_themes_than_captions_that_differ():
    found = themes(["a cat", "a cat", "the cat", "a dog"], most=8, seed=0)
    assert found == {"a cat": "cat", "the cat": "cat", "a dog": "dog"}


def test_captions_without_a_word_that_counts_have_no_theme():
    assert themes(["", "it is on", "a cat"], most=2, seed=0) == {"": "", "it is on": "", "a cat": "cat"}
    assert themes([""], most=2, seed=0) == {"": ""}
    assert themes([], most=2, seed=0) == {}


def test_rows_weigh_rare_words_more_and_have_the_length_one():
    words, rows = table(["red cat", "red dog", "red"])
    assert words == ["red", "cat", "dog"]
    rarity = np.array([1.0, np.log(4 / 2) + 1])
    assert rows[0] == pytest.approx([*(rarity / np.linalg.norm(rarity)), 0])
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1])


def test_every_row_is_nearest_to_its_centre():
    rng = np.random.default_rng(0)
    rows = np.abs(rng.standard_normal((60, 5))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centres, nearest = clustered(rows, most=4, rng=rng)
    assert len(centres) == len(set(nearest)) == 4
    assert (np.argmax(rows @ centres.T, axis=1) == nearest).all()
    for number, centre in enumerate(centres):
        mean = rows[nearest == number].mean(axis=0)
        assert centre == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
