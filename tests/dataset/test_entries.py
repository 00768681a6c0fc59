import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from stages import tables
from stages.dataset import entries
from stages.errors import TableError
from stages.images import decode
from stages.records import Consent, Sample


def test_every_plain_crop_is_an_entry_and_variants_only_when_asked_for(stores):
    plain, all_of_them = (entries.read(stores, variants=variants) for variants in (False, True))
    assert len(plain) == 6
    assert len(all_of_them) == 7
    assert {entry.id for entry in all_of_them} - {entry.id for entry in plain} == {
        sample.id for sample in tables.read(stores.prepare, Sample) if sample.variant
    }


def test_an_entry_says_where_it_came_from_and_by_which_right(stores):
    entry = next(each for each in entries.read(stores, variants=False) if each.url.endswith("/3.jpg"))
    assert (entry.licence, entry.author, entry.page, entry.consent) == (
        "CC0-1.0",
        "A. Author",
        "https://a.test/1",
        "release-7",
    )
    assert "A. Author" in entry.attribution
    assert "CC0-1.0" in entry.attribution
    assert entry.text == "a picture of 3, grün"


def test_heldout_is_called_test_and_nothing_else_is(stores):
    rows = {sample.id: sample.split for sample in tables.read(stores.prepare, Sample)}
    assert {(rows[entry.id], entry.split) for entry in entries.read(stores, variants=True)} == {
        ("train", "train"),
        ("heldout", "test"),
    }


def test_facts_are_all_fields_but_words_and_split(stores):
    entry = entries.read(stores, variants=False)[0]
    names = {field.name for field in dataclasses.fields(entry)}
    assert set(entry.facts()) == names - {"text", "split"}


def test_prepared_pixels_are_the_crops_and_whole_ones_are_not(stores):
    entry = next(each for each in entries.read(stores, variants=False) if not each.redacted)
    assert decode(entries.prepared(stores)(entry)).shape == (8, 8, 3)
    assert decode(entries.whole(stores)(entry)).shape == (12, 20, 3)


def test_a_whole_picture_names_licence_and_author_inside_its_file_as_a_crop_does(stores):
    for entry in entries.read(stores, variants=False):
        if not entry.redacted:
            with Image.open(io.BytesIO(entries.whole(stores)(entry))) as picture:
                assert set(picture.info) == {"XML:com.adobe.xmp", "xmp"}
                assert entry.licence in picture.info["XML:com.adobe.xmp"]
                assert entry.author in picture.info["XML:com.adobe.xmp"]


def test_a_redacted_picture_leaves_the_house_redacted(stores):
    entry = next(each for each in entries.read(stores, variants=False) if each.redacted)
    assert entry.redacted == 2
    assert np.unique(decode(entries.whole(stores)(entry))).tolist() == [240]


def test_without_the_stages_there_is_a_message(tmp_path):
    nothing = entries.Stores(**dict.fromkeys(("crawl", "frames", "clean", "anonymise", "prepare"), tmp_path))
    with pytest.raises(TableError, match="dvc repro"):
        entries.read(nothing, variants=False)


RECORD = Consent(
    id="release-7", subjects=("S-1",), basis="release", scope=("train", "publish"), granted="2026-01-01", expires="",
    revoked="", evidence="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("record", "publish", "left_out"),
    [
        ({}, True, 1),
        ({"scope": ("train", "publish", "show")}, True, 0),
        ({"scope": ("train",)}, False, 1),
        ({"scope": ("train",)}, True, 0),  # it does not count, so the face was made unrecognisable
        ({"revoked": "2026-02-01"}, True, 0),
        ({"id": "another"}, True, 0),
    ],
)
def test_a_face_that_a_consent_kept_is_shown_only_where_it_covers_that(record, publish, left_out, stores, tiny_ruling):
    rows, ruling = entries.read(stores, variants=False), dataclasses.replace(tiny_ruling, publish=publish)
    shown = entries.shown(rows, [dataclasses.replace(RECORD, **record)], ruling)
    assert len(rows) - len(shown) == left_out
    assert all(entry.consent for entry in rows if entry not in shown)
