import dataclasses

import pytest
import yaml

from stages import tables
from stages.dataset import card, entries
from stages.records import Consent


@pytest.fixture(scope="module")
def some(stores):
    return entries.read(stores, variants=False)


@pytest.fixture(scope="module")
def written(tiny_ruling):
    """The card of some entries under the ruling, changed by ``others``, with the records ``records``."""

    def write(some, splits, records=(), **others):
        ruling = dataclasses.replace(tiny_ruling, **others)
        return card.written(some, splits, card.Grounds(ruling=ruling, records=records))

    return write


def head(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_one_licence_that_the_hub_knows_is_named(some, written):
    only = [dataclasses.replace(entry, licence="CC-BY-4.0") for entry in some]
    assert head(written(only, {}))["license"] == "cc-by-4.0"


@pytest.mark.parametrize("licences", [("CC-BY-4.0", "CC0-1.0"), ("CC-BY-SA-2.0",), ("",)])
def test_several_or_an_unknown_one_are_other_with_a_link(some, written, licences):
    mixed = [dataclasses.replace(entry, licence=licences[n % len(licences)]) for n, entry in enumerate(some)]
    found = head(written(mixed, {}))
    assert (found["license"], found["license_link"]) == ("other", "README.md")


def test_every_licence_is_counted_and_every_author_credited_once(some, written):
    text = written([*some, *some], {})
    assert "[CC-BY-SA-4.0](https://creativecommons.org/licenses/by-sa/4.0/) | 4 |" in text
    lines = text[text.index("## Credits") :].splitlines()[2:]
    assert lines == sorted({f"- {entry.attribution}".replace("|", r"\|") for entry in some})


def test_the_head_names_the_files_of_the_splits_that_there_are(some, written):
    found = head(written(some, {"train": "train/**", "test": "test/**"}))
    assert found["configs"][0]["data_files"] == [
        {"split": "train", "path": "train/**"},
        {"split": "test", "path": "test/**"},
    ]
    only_train = [entry for entry in some if entry.split == "train"]
    assert [f["split"] for f in head(written(only_train, {"train": "a", "test": "b"}))["configs"][0]["data_files"]] == [
        "train"
    ]


def test_it_says_what_was_done_about_people(some):
    assert "unrecognisable in 1 picture; a record of consent is named by 1 picture." in card.people(some)


def test_words_from_the_web_cannot_leave_the_head(some, written):
    hostile = [dataclasses.replace(entry, licence="x\n---\nlicense: mit") for entry in some]
    assert head(written(hostile, {}))["license"] == "other"


def test_it_names_the_policy_with_every_setting_and_its_digest(some, written, tiny_ruling):
    text = written(some, {})
    assert f"The policy `studio` (SHA-256 `{tiny_ruling.id}`) chose the pictures." in text
    assert "The declared use is commercial, published." in text
    assert all(f"| {name} | {value} |" in text for name, value in tiny_ruling.settings.items())
    assert "**Not" not in text


def test_what_may_not_be_published_is_said_on_top_and_in_the_tags(some, written):
    text = written(some, {}, publish=False, commercial=False)
    assert text.split("---\n")[2].startswith("\n# darkroom\n\n**Not for publication and not commercial**: ")
    assert head(text)["tags"] == ["darkroom", "not-for-publication", "not-commercial"]
    assert head(written(some, {}))["tags"] == ["darkroom"]


def test_a_consent_must_let_the_pictures_be_shown_where_they_are_for_publication(some, written, stores):
    records = tables.read(stores.crawl, Consent)
    assert "- release-7, 1 picture: **does not count**, does not cover show" in written(some, {}, records)
    assert "- release-7, 1 picture: counts; keep to it" in written(some, {}, records, publish=False)
    late = written(some, {}, records, publish=False, consent_on="2025-01-01")
    assert "**does not count**, granted only from 2026-01-01" in late
    assert "there is no such record" in written(some, {})


def test_titles_from_the_web_stay_text(some, written):
    hostile = [dataclasses.replace(entry, attribution="<b>x</b> [a](javascript:x)") for entry in some]
    assert r"- \<b>x\</b> \[a](javascript:x)" in written(hostile, {})
