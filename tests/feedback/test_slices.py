"""Which slices a picture lies in."""

import pytest

from stages import licences
from stages.feedback import slices
from stages.records import Region


def region(side, score=1.0):
    return Region(left=0, top=0, width=side, height=side, score=score, landmarks=())


def test_a_picture_lies_in_the_slices_of_its_columns_and_of_pairs_that_are_asked_for():
    traits = {"word": frozenset(["lying", "nine"]), "bucket": frozenset(["64x64"]), "face": frozenset(["none"])}
    assert slices.of(traits, ["word", "bucket"], [("word", "bucket")]) == [
        "word=lying", "word=nine", "bucket=64x64", "word=lying & bucket=64x64", "word=nine & bucket=64x64",
    ]  # fmt: skip


def test_a_name_says_what_it_fixes():
    assert slices.value("word=lying & bucket=64x64", "bucket") == ["64x64"]
    assert slices.value("word=lying", "source") == []


def test_words_are_those_that_say_what_is_shown():
    assert slices.words("A photo of the Lying nine, in Ōsaka; 3 of them.") == ["lying", "nine", "ōsaka"]


def test_the_commonest_words_come_after_those_of_the_slice():
    texts = ["a red barn", "a red barn and a cow", "a red cow cow cow"]
    assert slices.commonest(texts, first=["cow"], most=3) == ("cow", "red", "barn")
    assert slices.commonest([], first=[], most=3) == ()


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        ("CC0-1.0", "free"),
        ("CC-BY-4.0", "attribution"),
        ("CC-BY-SA-3.0", "share-alike"),
        ("CC-BY-NC-SA-4.0", "non-commercial"),
        ("CC-BY-ND-4.0", "no derivatives"),
        (licences.OWN, "own"),
        ("", "unknown"),
    ],
)
def test_a_licence_belongs_to_the_class_of_what_it_asks_for_most(licence, name):
    assert slices.licence_class(licence) == name


def test_a_face_counts_by_its_share_of_the_picture_if_it_is_sure():
    assert slices.face([], 100, large=0.05, min_score=0.5) == "none"
    assert slices.face([region(9, score=0.4)], 100, large=0.05, min_score=0.5) == "none"
    assert slices.face([region(2)], 100, large=0.05, min_score=0.5) == "small"
    assert slices.face([region(1), region(3)], 100, large=0.05, min_score=0.5) == "large"
