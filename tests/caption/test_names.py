"""Names that a model finds: whole words, nothing kept but places, and nothing looked for twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertForTokenClassification

from stages import config as settings
from stages import machine
from stages.caption import names, transformer


@pytest.fixture
def config(namer_folder, weights):
    """Makes the settings of a finder over a tiny model."""

    def make(**others):
        values = {"model": weights(namer_folder), "labels": ["PER"], "threshold": 0.1}
        return settings.check(values | others, names.Config, where="test")

    return make


TEXTS = ["a photo of cat and dog", "coins on grass", "the old wall is green", ""]


@pytest.mark.parametrize(
    ("places", "sure", "spans"),
    [
        ([(0, 3), (4, 12)], [True, True], "0-12"),  # two words of one name
        ([(0, 3), (4, 12)], [True, False], "0-3"),
        ([(4, 7)], [True], "4-12"),  # a piece of a word is the word
        ([(0, 3), (17, 20)], [True, True], "0-3 17-20"),
        ([(0, 0), (0, 0)], [True, True], ""),  # marks of the tokenizer
        ([], [], ""),
    ],
)
def test_names_are_whole_words_and_neighbours_are_one(places, sure, spans):
    assert names.spans("Ada Lovelace and Bob", places, sure) == spans


def test_initials_and_hyphens_belong_to_a_name():
    assert names.spans("A. Ann-Marie", [(0, 1), (3, 6)], [True, True]) == "0-12"


def test_a_comma_parts_two_names():
    assert names.spans("Ada, Bob", [(0, 3), (5, 8)], [True, True]) == "0-3 5-8"


@given(st.text("Ab -.", max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_what_is_found_stands_in_the_text(text, sure):
    places = [(n, n + 1) for n in range(len(text))]
    found = list(names.cut(text, names.spans(text, places, sure[: len(text)])))
    assert all(name in text and name.strip() for name in found)


def test_without_a_finder_nothing_is_found_and_nothing_loaded(monkeypatch):
    monkeypatch.setattr(transformer, "load", None)
    assert names.find(TEXTS, None) == [(), (), (), ()]


def test_the_model_finds_words_of_the_text(config):
    found = names.find(TEXTS, config())
    assert any(found)
    assert all(name in text for text, some in zip(TEXTS, found, strict=True) for name in some)
    assert found[-1] == ()


def test_only_the_labels_of_people_count_and_only_above_the_threshold(config):
    none = [(), (), (), ()]
    assert names.find(TEXTS, config(labels=["ORG"], threshold=0.01)) == none
    assert names.find(TEXTS, config(labels=["LOC"])) != names.find(TEXTS, config())
    assert names.find(TEXTS, config(threshold=1.0)) == none
    assert [len(" ".join(some)) for some in names.find(TEXTS[:3], config(threshold=0.0))] == [len(t) for t in TEXTS[:3]]


def test_in_a_batch_a_text_has_the_names_that_it_has_alone(config, weights, namer_folder, empty_cache):
    found = names.find(TEXTS, config())
    empty_cache()
    assert names.find(TEXTS, config(model=weights(namer_folder, batch=1))) == found


def test_what_was_found_once_is_not_looked_for_again_and_no_name_is_kept(config, monkeypatch):
    found = names.find(TEXTS, config(threshold=0.0))
    kept = b"".join(file.read_bytes() for file in machine.cache("captions").rglob("??/*"))
    assert b"photo" not in kept
    assert b"0-22" in kept
    monkeypatch.setattr(BertForTokenClassification, "forward", None)
    assert names.find(TEXTS, config(threshold=0.0)) == found
