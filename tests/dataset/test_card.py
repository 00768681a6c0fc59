import dataclasses

import pytest
import yaml

from stages.dataset import card, entries


@pytest.fixture(scope="module")
def some(stores):
    return entries.read(stores, variants=False)


def head(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_one_licence_that_the_hub_knows_is_named(some):
    only = [dataclasses.replace(entry, licence="CC-BY-4.0") for entry in some]
    assert head(card.written(only, {}))["license"] == "cc-by-4.0"


@pytest.mark.parametrize("licences", [("CC-BY-4.0", "CC0-1.0"), ("CC-BY-SA-2.0",), ("",)])
def test_several_or_an_unknown_one_are_other_with_a_link(some, licences):
    mixed = [dataclasses.replace(entry, licence=licences[n % len(licences)]) for n, entry in enumerate(some)]
    found = head(card.written(mixed, {}))
    assert (found["license"], found["license_link"]) == ("other", "README.md")


def test_every_licence_is_counted_and_every_author_credited_once(some):
    text = card.written([*some, *some], {})
    assert "[CC-BY-SA-4.0](https://creativecommons.org/licenses/by-sa/4.0/) | 4 |" in text
    lines = text[text.index("## Credits") :].splitlines()[2:]
    assert lines == sorted({f"- {entry.attribution}" for entry in some})


def test_the_head_names_the_files_of_the_splits_that_there_are(some):
    found = head(card.written(some, {"train": "train/**", "test": "test/**"}))
    assert found["configs"][0]["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "test", "path": "test/**"},
    ]
    only_train = [entry for entry in some if entry.split == "train"]
    assert [
        f["split"] for f in head(card.written(only_train, {"train": "a", "test": "b"}))["configs"][0]["data_files"]
    ] == ["train"]


def test_it_says_what_was_done_about_people(some):
    assert "unrecognisable in 1 pictures; 1 pictures name a record of consent, and nobody checked" in card.people(some)


def test_words_from_the_web_cannot_leave_the_head(some):
    hostile = [dataclasses.replace(entry, licence="x\n---\nlicense: mit") for entry in some]
    assert head(card.written(hostile, {}))["license"] == "other"
