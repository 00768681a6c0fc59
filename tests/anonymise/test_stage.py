"""The stage on the astronaut's portrait: whose face goes, and that no detector finds it afterwards."""

import hashlib
from datetime import date

import numpy as np
import pytest

from stages import plugins, shards, specimens, tables
from stages.anonymise import stage
from stages.anonymise.stage import Config, must_go, run
from stages.errors import ImageError
from stages.images import decode, encode_png
from stages.records import Consent, Frame, Item, Quality, Redaction, Region, Verdict

DETECTOR = {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10}
BOX = Region(score=1.0, landmarks=(), left=119, top=67, width=93, height=93)  # of the face in the crop below
RELEASE = Consent(
    id="release-1", subjects=("S-1",), basis="model release", scope=("train", "publish"), granted="2026-01-01",
    expires="2026-12-31", revoked="", evidence="",
)  # fmt: skip
PICTURES = {
    "face": specimens.crop(specimens.photograph("astronaut"), (60, 0, 360, 240)),
    "wall": specimens.crop(specimens.photograph("brick"), (0, 0, 100, 80)),
}


def config(**others):
    values = {"faces": "without consent", "method": "pixelate", "margin": 0.2, "detector": DETECTOR}
    values |= {"publish": True, "consent_on": date(2026, 6, 1)}
    return Config(**(values | {"shard_digits": 1} | others))


@pytest.fixture
def anonymised(tmp_path):
    """Run the stage on the pictures, the face with or without consent, kept or not; gives the report and the rows."""

    def anonymise(*, consent="", kept=True, measured=(BOX,), store="crawl", **others):
        bodies = {name: encode_png(pixels) for name, pixels in PICTURES.items()}
        ids = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
        places = shards.write(tmp_path / store, {ids[name]: body for name, body in bodies.items()}, digits=1)
        said = {"page": "", "kind": "image", "alt": "", "title": "", "author": "", "licence": "CC0-1.0"}
        said |= {"licence_evidence": (), "signals": (), "credit": "", "consent": consent}
        facts = {"width": 300, "height": 240, "sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "hash": "0" * 64}
        facts |= {"format": "PNG", "dark": 0.0, "bright": 0.0, "entropy": 7.0, "colourfulness": 9.0}
        facts |= {"hash_quality": 100, "text": 0.0, "watermark": 0.0, "aesthetic": None, "nsfw": None}
        found = {"face": measured, "wall": ()}
        rows = {
            "crawl": (Item, [Item(id=id, url=f"file:{name}", place=places[id], **said) for name, id in ids.items()]),
            "frames": (Frame, [Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store=store, place=places[id]) for id in ids.values()]),
            "measure": (Quality, [Quality(id=id, faces=found[name], **facts) for name, id in ids.items()]),
            "clean": (Verdict, [Verdict(id=id, keep=kept, reason="" if kept else "small", twin="") for id in ids.values()]),
        }  # fmt: skip
        for name, (row, each) in rows.items():
            tables.write(tmp_path / name, row, each)
        tables.write(tmp_path / "crawl", Consent, [RELEASE])
        folders = {"crawled": "crawl", "frames": "frames", "measured": "measure", "cleaned": "clean"}
        report = run(config(**others), **{key: tmp_path / name for key, name in folders.items()}, out=tmp_path / "out")
        return report, tables.by_id(tmp_path / "out", Redaction), ids

    return anonymise


@pytest.fixture
def redacted(anonymised, tmp_path):
    """The astronaut's picture after the stage."""

    def read(**others):
        _, rows, ids = anonymised(**others)
        return decode(shards.read(tmp_path / "out", rows[ids["face"]].place))

    return read


@pytest.mark.parametrize("method", ["pixelate", "blur", "fill"])
def test_the_detector_finds_nothing_afterwards(redacted, method):
    detect = plugins.build("stages.detectors", DETECTOR)
    assert len(detect(PICTURES["face"])) == 1
    assert detect(redacted(method=method)) == ()


def test_pixels_outside_the_widened_box_are_unchanged(redacted):
    inside = np.zeros(PICTURES["face"].shape[:2], dtype=bool)
    inside[67 - 19 : 67 + 93 + 19, 119 - 19 : 119 + 93 + 19] = True
    changed = (redacted() != PICTURES["face"]).any(axis=2)
    assert not changed[~inside].any()
    assert changed[inside].mean() > 0.9


def test_pictures_that_do_not_change_are_not_copied(anonymised, tmp_path):
    report, rows, ids = anonymised()
    assert report == {"redacted": 1, "with_consent": 0}
    assert list(rows) == [ids["face"]]
    assert rows[ids["face"]].faces >= 1
    assert len(list((tmp_path / "out").glob("*.tar"))) == 1


def test_consent_keeps_the_face(anonymised, tmp_path):
    report, rows, _ = anonymised(consent="release-1")
    assert (report, rows) == ({"redacted": 0, "with_consent": 1}, {})
    assert list((tmp_path / "out").glob("*.tar")) == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"consent": "typo"}, "typo: there is no such record"),
        ({"consent": "release-1", "consent_on": date(2027, 1, 1)}, "release-1: expired on 2026-12-31"),
    ],
)
def test_a_consent_that_does_not_count_keeps_no_face_and_is_said(anonymised, caplog, settings, why):
    assert anonymised(**settings)[0] == {"redacted": 1, "with_consent": 0}
    assert [record.getMessage() for record in caplog.records] == [
        f"anonymise: consent {why}, so it counts as none; see data/own/consent.yaml"
    ]


def test_the_policy_all_goes_before_consent(anonymised):
    assert anonymised(consent="release-1", faces="all")[0] == {"redacted": 1, "with_consent": 0}


def test_the_policy_none_keeps_every_face(anonymised):
    assert anonymised(faces="none")[0]["redacted"] == 0


def test_what_clean_dropped_is_not_redacted(anonymised):
    assert anonymised(kept=False)[0] == {"redacted": 0, "with_consent": 0}


def test_a_still_is_read_from_the_frames_shards(redacted):
    assert (redacted(store="frames") != PICTURES["face"]).any()


def test_two_runs_leave_the_same_bytes(anonymised, tmp_path):
    anonymised()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    anonymised()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def test_the_new_file_holds_nothing_but_pixels(anonymised, tmp_path):
    _, rows, ids = anonymised()
    png = shards.read(tmp_path / "out", rows[ids["face"]].place)
    assert not any(chunk in png for chunk in (b"eXIf", b"tEXt", b"iTXt", b"zTXt", b"iCCP", b"tIME"))


def test_a_face_that_measure_did_not_place_well_is_searched_for_again(anonymised):
    _, rows, ids = anonymised(measured=(Region(score=1.0, landmarks=(), left=0, top=0, width=20, height=20),))
    assert rows[ids["face"]].faces == 2


def test_a_detector_that_finds_a_face_after_every_round_is_an_error():
    searched = []

    def stubborn(pixels):
        searched.append(pixels)
        return (BOX,)

    with pytest.raises(ImageError, match=r"file:face: the detector still finds a face after 4 rounds; set anonymise"):
        stage._until_none(PICTURES["face"], (BOX,), stubborn, config(), where="file:face")
    assert len(searched) == stage.ROUNDS


@pytest.mark.parametrize(
    ("policy", "consent", "goes"),
    [
        ("without consent", "", True),
        ("without consent", "release-1", False),
        ("without consent", "release-2", True),
        ("without consent", "release-3", True),
        ("all", "", True),
        ("all", "release-1", True),
        ("none", "", False),
        ("none", "release-1", False),
    ],
)
def test_the_policy_says_whose_faces_go(policy, consent, goes):
    place = shards.Place(shard="s", offset=0, size=1)
    said = {"page": "", "kind": "image", "alt": "", "title": "", "author": "", "licence": ""}
    item = Item(id="a", url="file:a", licence_evidence=(), signals=(), credit="", consent=consent, place=place, **said)
    assert must_go(item, policy, {"release-1": "", "release-2": "revoked"}) is goes
