"""The stage on the astronaut's portrait: whose face goes, and that no detector finds it afterwards."""

import hashlib
import io
import sys
import tracemalloc
from datetime import date
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from stages import plugins, shards, specimens, tables
from stages.anonymise.redact import redact
from stages.anonymise.stage import ROUNDS, Config, Kind, Policy, must_go, run, until_none
from stages.config import settings
from stages.errors import ConfigError, ImageError
from stages.images import decode, encode_png
from stages.records import Consent, Failure, Frame, Item, Quality, Redaction, Region, Ruling, Verdict

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


def config(*, measured=DETECTOR, max_failures=0.0, more=None, consent_on=date(2026, 6, 1), **others):
    """Settings for faces, with ``others`` in their policy and ``more`` kinds."""
    faces = {"whose": "without consent", "method": "pixelate", "margin": 0.2, "detector": DETECTOR} | others
    kinds = {"faces": Policy(**faces)} | {name: Policy(**policy) for name, policy in (more or {}).items()}
    values = {"regions": kinds, "detector": measured, "max_failures": max_failures, "shard_digits": 1}
    return Config(**values, publish=True, consent_on=consent_on)


@pytest.fixture
def anonymised(tmp_path, tiny_ruling):
    """Run the stage on the pictures, the face with or without consent, kept or not; gives the report and the rows."""

    def anonymise(
        *, consent="", kept=True, found=(BOX,), store="crawl", pictures=PICTURES, encode=encode_png, **others
    ):
        bodies = {name: encode(pixels) for name, pixels in pictures.items()}
        ids = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
        places = shards.write(tmp_path / store, {ids[name]: body for name, body in bodies.items()}, digits=1)
        said = {"page": "", "kind": "image", "alt": "", "title": "", "author": "", "licence": "CC0-1.0"}
        said |= {"licence_evidence": (), "signals": (), "credit": "A. Painter", "consent": consent, "group": ""}
        facts = {"width": 300, "height": 240, "sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "hash": "0" * 64}
        facts |= {"format": "PNG", "dark": 0.0, "bright": 0.0, "entropy": 7.0, "colourfulness": 9.0}
        facts |= {"hash_quality": 100, "text": 0.0, "watermark": 0.0, "aesthetic": None, "nsfw": None}
        faces = {name: found if name.startswith("face") else () for name in pictures}
        rows = {
            "crawl": (Item, [Item(id=id, url=f"file:{name}", place=places[id], **said) for name, id in ids.items()]),
            "frames": (Frame, [Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store=store, place=places[id]) for id in ids.values()]),
            "measure": (Quality, [Quality(id=id, faces=faces[name], **facts) for name, id in ids.items()]),
            "clean": (Verdict, [Verdict(id=id, keep=kept, reason="" if kept else "small", twin="") for id in ids.values()]),
        }  # fmt: skip
        for name, (row, each) in rows.items():
            tables.write(tmp_path / name, row, each)
        tables.write(tmp_path / "crawl", Consent, [RELEASE])
        tables.write(tmp_path / "clean", Ruling, [tiny_ruling])
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
    assert report == {"redacted": 1, "regions": 1, "with_consent": 0, "failed": 0}
    assert list(rows) == [ids["face"]]
    assert rows[ids["face"]].regions == 1
    assert len(list((tmp_path / "out").glob("*.tar"))) == 1


def test_consent_keeps_the_face(anonymised, tmp_path):
    report, rows, _ = anonymised(consent="release-1")
    assert (report, rows) == ({"redacted": 0, "regions": 0, "with_consent": 1, "failed": 0}, {})
    assert list((tmp_path / "out").glob("*.tar")) == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"consent": "typo"}, "typo: there is no such record"),
        ({"consent": "release-1", "consent_on": date(2027, 1, 1)}, "release-1: expired on 2026-12-31"),
    ],
)
def test_a_consent_that_does_not_count_keeps_no_face_and_is_said(anonymised, caplog, settings, why):
    report, _, _ = anonymised(**settings)
    assert (report["redacted"], report["with_consent"]) == (1, 0)
    assert [record.getMessage() for record in caplog.records] == [
        f"anonymise: consent {why}, so it counts as none; see data/own/consent.yaml"
    ]


def test_the_policy_all_goes_before_consent(anonymised):
    report, _, _ = anonymised(consent="release-1", whose="all")
    assert (report["redacted"], report["with_consent"]) == (1, 0)


def test_the_policy_none_keeps_every_face(anonymised):
    assert anonymised(whose="none")[0] == {"redacted": 0, "regions": 0, "with_consent": 0, "failed": 0}


def test_what_clean_dropped_is_not_redacted(anonymised):
    assert not any(anonymised(kept=False)[0].values())


def test_a_still_is_read_from_the_frames_shards(redacted):
    assert (redacted(store="frames") != PICTURES["face"]).any()


def test_two_runs_leave_the_same_bytes(anonymised, tmp_path):
    anonymised()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    anonymised()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


def of_a_camera(pixels):
    """A JPEG as phones write it: place, maker, time, a comment, a small picture of the whole, and words of its own."""
    exif = Image.Exif()
    exif[271], exif[306] = "Maker", "2026:11:21 10:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)})
    buffer = io.BytesIO()
    said = {"exif": exif, "comment": b"for my eyes", "xmp": b"<x:xmpmeta>secret</x:xmpmeta>"}
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=95, **said)
    assert all(each in buffer.getvalue() for each in (b"Maker", b"2026:11:21", b"for my eyes", b"secret"))
    assert Image.open(io.BytesIO(buffer.getvalue())).getexif().get_ifd(0x8825)
    return buffer.getvalue()


def test_the_new_file_says_licence_and_credit_and_nothing_else(anonymised, tmp_path):
    _, rows, ids = anonymised(encode=of_a_camera)
    png = shards.read(tmp_path / "out", rows[ids["face"]].place)
    with Image.open(io.BytesIO(png)) as image:
        assert set(image.info) == {"xmp", "XML:com.adobe.xmp"}  # Pillow has two names for it
        assert "CC0-1.0" in image.info["XML:com.adobe.xmp"]
        assert "A. Painter" in image.info["XML:com.adobe.xmp"]
        assert not image.getexif()
    assert png.count(b"iTXt") == 1
    assert not any(chunk in png for chunk in (b"eXIf", b"tEXt", b"zTXt", b"iCCP", b"tIME", b"Maker", b"secret"))


def test_a_picture_that_lies_on_its_side_is_redacted_upright(redacted):
    def on_its_side(pixels):
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[274] = 6  # turn by 90 degrees to the right to see it upright
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(buffer, format="PNG", exif=exif)
        return buffer.getvalue()

    assert (redacted(encode=on_its_side) == redacted()).all()


def test_a_face_that_measure_did_not_place_well_is_searched_for_again(anonymised):
    _, rows, ids = anonymised(found=(Region(score=1.0, landmarks=(), left=0, top=0, width=20, height=20),))
    assert rows[ids["face"]].regions == 2


def test_a_face_that_another_detector_missed_in_measure_is_found(anonymised):
    report, rows, ids = anonymised(found=(), measured={**DETECTOR, "min_face": 0.9})
    assert report["redacted"] == 1
    assert list(rows) == [ids["face"]]


def test_where_measure_found_no_face_by_the_same_detector_none_is_searched(anonymised):
    assert anonymised(found=())[0]["redacted"] == 0


def kind(detect, name="faces", **others):
    policy = Policy(**({"whose": "all", "method": "fill", "margin": 0.0, "detector": {"name": "lbp"}} | others))
    return Kind(name=name, policy=policy, detect=detect, measured=False)


def test_what_is_found_after_every_round_is_named():
    searched = []

    def counting(pixels):
        searched.append(pixels)
        return (BOX,)

    _, count, left = until_none(PICTURES["face"], [kind(counting), kind(lambda pixels: (), "words")], [(BOX,), ()])
    assert (count, left, len(searched)) == (ROUNDS, ["faces"], ROUNDS)


def test_the_search_ends_when_nothing_is_left():
    answers = [(BOX,), ()]
    pixels, count, left = until_none(PICTURES["face"], [kind(lambda pixels: answers.pop(0))], [(BOX, BOX)])
    assert (count, left, answers) == (3, [], [])
    assert (
        len(np.unique(pixels[BOX.top : BOX.top + BOX.height, BOX.left : BOX.left + BOX.width].reshape(-1, 3), axis=0))
        == 1
    )


def test_each_kind_is_redacted_by_its_own_method():
    other = Region(score=1.0, landmarks=(), left=0, top=0, width=40, height=40)
    kinds = [kind(lambda pixels: ()), kind(lambda pixels: (), "words", method="blur")]
    pixels, count, _ = until_none(PICTURES["face"], kinds, [(BOX,), (other,)])
    expected = redact(redact(PICTURES["face"], [BOX], method="fill", margin=0.0), [other], method="blur", margin=0.0)
    assert (pixels == expected).all()
    assert count == 2


@pytest.fixture
def blotches(monkeypatch):
    """A detector ``blotches`` beside the others, which sees a face in every picture but the wall, redacted or not."""
    part = ModuleType("stages.detectors.blotches")
    part.Config = settings(type("Config", (), {"__module__": __name__}))
    part.build = lambda config: lambda pixels: (BOX,) if pixels.shape[0] == 240 else ()
    monkeypatch.setitem(sys.modules, part.__name__, part)
    monkeypatch.setattr(plugins, "names", lambda package: ["blotches", "lbp"])
    return {"name": "blotches"}


def test_a_picture_that_withstands_is_a_row_with_its_reason_and_has_no_pixels(anonymised, blotches, tmp_path):
    report, rows, ids = anonymised(detector=blotches, max_failures=0.5)
    assert (report["redacted"], report["failed"], rows) == (0, 1, {})
    (failure,) = tables.read(tmp_path / "out", Failure)
    assert (failure.id, failure.what) == (ids["face"], "file:face")
    assert failure.reason == "faces still found after 4 rounds"
    assert list((tmp_path / "out").glob("*.tar")) == []


def test_more_failures_than_the_ceiling_end_the_stage(anonymised, blotches):
    message = r"anonymise: 1 of 2 failed, more than anonymise.max_failures = 0.49 allows: faces .* \(1\); choose .*; the first: file:face"
    with pytest.raises(ImageError, match=message):
        anonymised(detector=blotches, max_failures=0.49)


def test_without_failures_the_table_is_there_and_empty(anonymised, tmp_path):
    anonymised()
    assert tables.read(tmp_path / "out", Failure) == []


def test_a_detector_that_no_policy_needs_is_not_built(anonymised):
    unknown = {"whose": "none", "method": "fill", "margin": 0.0, "detector": {"name": "not there"}}
    assert anonymised(more={"words": unknown})[0]["redacted"] == 1
    with pytest.raises(ConfigError, match="there is no part 'not there'"):
        anonymised(more={"words": unknown | {"whose": "all"}})


def test_two_kinds_leave_one_picture(anonymised):
    small = {"name": "lbp", "side": 512, "min_face": 0.2, "min_neighbours": 3}
    more = {"heads": {"whose": "all", "method": "blur", "margin": 0.5, "detector": small}}
    report, rows, ids = anonymised(more=more)
    assert (report["redacted"], list(rows)) == (1, [ids["face"]])
    assert rows[ids["face"]].regions >= 2


def test_memory_holds_a_few_pictures_and_never_all(anonymised, tmp_path, monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "1")
    rng = np.random.default_rng(0)
    noise = {f"face {n}": rng.integers(0, 256, (160, 160, 3), dtype=np.uint8) for n in range(60)}
    once = {"name": "lbp", "side": 30, "min_face": 0.9, "min_neighbours": 10}  # which finds none in noise
    report, _, _ = anonymised(pictures=noise, detector=once, measured=once)
    folders = {"crawled": "crawl", "frames": "frames", "measured": "measure", "cleaned": "clean"}
    tracemalloc.start()
    run(
        config(detector=once, measured=once),
        **{key: tmp_path / name for key, name in folders.items()},
        out=tmp_path / "again",
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "again").glob("*.tar"))
    assert report["redacted"] == 60
    assert written > 3_000_000
    assert peak < written / 2


@pytest.mark.parametrize("engine", ["threads", "processes"])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_workers_and_engines_change_nothing(anonymised, tmp_path, monkeypatch, engine, workers):
    anonymised()
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setenv("DARKROOM_ENGINE", engine)
    monkeypatch.setenv("DARKROOM_WORKERS", workers)
    anonymised()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first


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
    item = Item(
        id="a", url="file:a", licence_evidence=(), signals=(), credit="", consent=consent, group="", place=place, **said
    )
    assert must_go(item, policy, {"release-1": "", "release-2": "revoked"}) is goes
