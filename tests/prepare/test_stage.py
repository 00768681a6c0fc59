"""The stage: samples, variants, and a split that leaks nothing."""

import dataclasses
import hashlib
import io
import tracemalloc
from collections import Counter, defaultdict
from datetime import date
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from stages import hashes, shards, tables
from stages.errors import TableError
from stages.images import decode, encode_png
from stages.prepare import augment, crops
from stages.prepare.stage import Config, run
from stages.records import (
    Caption,
    Consent,
    Failure,
    Frame,
    Heldout,
    Item,
    Mask,
    Quality,
    Redaction,
    Region,
    Ruling,
    Sample,
    Weight,
)

RELEASE = Consent(
    id="release-1", subjects=("S-1",), basis="model release", scope=("train",), granted="2026-01-01",
    expires="2026-12-31", revoked="", evidence="",
)  # fmt: skip
CROP = crops.Config(mode="centre", margin=0.1, min_score=0.5)
AUGMENT = augment.Config(variants=2, flip=True, min_scale=0.8, rotate=8.0, light=0.1)


def config(**others):
    values = {
        "buckets": ((16, 16), (24, 16)),
        "side_multiple": 8,
        "heldout": 0.25,
        "group_distance": 64,
        "salt": "darkroom",
        "follow_weights": False,
    }
    values |= {"publish": False, "consent_on": date(2026, 6, 1)}
    return Config(**(values | {"crop": CROP, "augment": AUGMENT, "seed": 0, "shard_digits": 1} | others))


def picture(number, width=24, height=24, role="subject", page="", bits=None, video="", encode=encode_png, **others):
    """A picture of noise; ``bits`` set bits in its hash, or a hash of noise, too."""
    rng = np.random.default_rng(number)
    body = encode(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return {
        "id": hashlib.sha256(body).hexdigest(),
        "body": body,
        "size": (width, height),
        "role": role,
        "page": page or f"http://a.test/{number}.html",
        "video": video,
        "hash": rng.bytes(32).hex() if bits is None else f"{(1 << bits) - 1:064x}",
        "faces": (),
        "consent": "",
        "mask": b"",
        "group": "",
    } | others


@pytest.fixture
def prepared(tmp_path, tiny_ruling):
    """Write what the stages before would leave, run the stage; gives the report and the samples by id."""

    def prepare(
        pictures,
        *,
        redacted=None,
        captioned=None,
        failed=(),
        held=(),
        weights=MappingProxyType({}),
        out="out",
        **others,
    ):
        root = tmp_path / f"{out}-inputs"
        places = shards.write(root / "crawl", {each["id"]: each["body"] for each in pictures}, digits=1)
        said = {"alt": "", "title": "", "author": "", "licence": "CC0-1.0", "kind": "image"}
        said |= {"licence_evidence": (), "signals": (), "credit": "A. Painter"}
        items = {
            each["video"] or each["id"]: Item(
                id=each["video"] or each["id"],
                url="file:a",
                page=each["page"],
                consent=each["consent"],
                group=each["group"],
                place=places[each["id"]],
                **said,
            )
            for each in pictures
        }
        tables.write(root / "crawl", Item, items.values())
        tables.write(root / "crawl", Consent, [RELEASE])
        drawn = shards.write(root / "crawl" / "masks", {each["id"]: each["mask"] for each in pictures}, digits=1)
        for each in {place.shard for place in drawn.values()}:
            (root / "crawl" / "masks" / each).rename(root / "crawl" / f"masks-{each}")
        masks = [
            Mask(id=each["id"], place=dataclasses.replace(place, shard=f"masks-{place.shard}"))
            for each in pictures
            if (place := drawn[each["id"]]).size
        ]
        tables.write(root / "crawl", Mask, masks)
        frames = [
            Frame(
                id=each["id"],
                item=each["video"] or each["id"],
                pts=0,
                time_base="",
                time_ms=0.0,
                store="crawl",
                place=places[each["id"]],
            )
            for each in pictures
        ]
        tables.write(root / "frames", Frame, frames)
        facts = {"sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "format": "PNG"}
        facts |= {"dark": 0.0, "bright": 0.0, "entropy": 7.0, "colourfulness": 9.0, "hash_quality": 100}
        facts |= {"text": 0.0, "watermark": 0.0, "aesthetic": None, "nsfw": None}
        measured = [
            Quality(
                id=each["id"],
                width=each["size"][0],
                height=each["size"][1],
                hash=each["hash"],
                faces=each["faces"],
                **facts,
            )
            for each in pictures
        ]
        tables.write(root / "measure", Quality, measured)
        hidden = shards.write(root / "anonymise", redacted or {}, digits=1)
        tables.write(
            root / "anonymise", Redaction, [Redaction(id=id, regions=1, place=at) for id, at in hidden.items()]
        )
        failures = [Failure(id=id, what="file:a", reason="faces still found") for id in failed]
        tables.write(root / "anonymise", Failure, failures)
        chosen = [each for each in pictures if captioned is None or each["id"] in captioned]
        captions = [Caption(id=each["id"], text=f"a {each['role']}", role=each["role"], by="hand") for each in chosen]
        tables.write(root / "caption", Caption, captions)
        names = {"own": "own", "crawled": "crawl", "frames": "frames", "measured": "measure"}
        tables.write(root / "clean", Ruling, [tiny_ruling])
        names |= {"cleaned": "clean", "anonymised": "anonymise", "captioned": "caption"}
        tables.write(root / "own" / "next", Heldout, [Heldout(id=id) for id in held])
        tables.write(root / "own" / "next", Weight, [Weight(id=id, weight=weight) for id, weight in weights.items()])
        report = run(config(**others), **{key: root / name for key, name in names.items()}, out=tmp_path / out)
        return report, tables.by_id(tmp_path / out, Sample)

    return prepare


@pytest.fixture
def pixels(tmp_path):
    """The pixels of a sample."""
    return lambda sample, out="out": decode(shards.read(tmp_path / out, sample.place))


MANY = [picture(n) for n in range(12)] + [picture(n, role="prior") for n in range(100, 108)]


def of(samples, **values):
    return [row for row in samples.values() if all(getattr(row, name) == value for name, value in values.items())]


def test_every_captioned_frame_has_a_plain_crop_and_trained_ones_have_variants(prepared, pixels):
    report, samples = prepared(MANY)
    assert {row.frame for row in of(samples, variant=0)} == {each["id"] for each in MANY}
    assert {row.variant for row in of(samples, split="heldout")} == {0}
    trained = {row.frame for row in of(samples, split="train")}
    assert len(of(samples, split="train")) == 3 * len(trained)
    for id, row in samples.items():
        assert id == f"{row.frame}-{row.variant:02d}"
        assert pixels(row).shape == (row.height, row.width, 3)
    assert report == {
        "samples": len(samples), "groups": 20,
        "subject/heldout": 3, "subject/train": 9, "prior/heldout": 2, "prior/train": 6,
        "mean_lost": 0.0, "most_lost": 0.0, "left_out": 0, "masked": 0,
    }  # fmt: skip


def test_what_has_no_caption_is_left_out(prepared):
    _, samples = prepared(MANY, captioned={each["id"] for each in MANY[2:]})
    assert not {MANY[0]["id"], MANY[1]["id"]} & {row.frame for row in samples.values()}


def test_words_and_role_are_the_captions(prepared):
    _, samples = prepared(MANY)
    assert {(row.text, row.role) for row in samples.values()} == {("a subject", "subject"), ("a prior", "prior")}


def test_each_picture_falls_into_the_bucket_of_its_aspect(prepared):
    wide = picture(50, width=60, height=40)
    _, samples = prepared([*MANY, wide])
    assert {(row.width, row.height) for row in of(samples, frame=wide["id"])} == {(24, 16)}
    assert {(row.width, row.height) for row in of(samples, frame=MANY[0]["id"])} == {(16, 16)}


def test_no_group_and_no_page_crosses_the_split(prepared):
    pages = [picture(n, page=f"http://a.test/{n % 7}.html") for n in range(30)]
    report, samples = prepared(pages)
    sides, page = defaultdict(set), {each["id"]: each["page"] for each in pages}
    for row in samples.values():
        sides[row.group].add(row.split)
        sides[page[row.frame]].add(row.split)
    assert report["groups"] == 7
    assert all(len(side) == 1 for side in sides.values())


def test_near_duplicates_never_cross_the_split(prepared):
    near = [picture(n, bits=60 * (n % 5)) for n in range(30)]  # five kinds, each 60 bits from the next
    with pytest.raises(TableError):
        prepared(near, group_distance=60)  # a chain that joins all
    report, samples = prepared(near, group_distance=59)
    assert report["groups"] == 5
    words = hashes.words([each["hash"] for each in near])
    split = {row.frame: row.split for row in samples.values()}
    for one in range(len(near)):
        for other in np.flatnonzero(hashes.distances(words[one], words) <= 59):
            assert split[near[one]["id"]] == split[near[other]["id"]]


def test_stills_of_one_video_never_cross_the_split(prepared):
    video = hashlib.sha256(b"video").hexdigest()
    _, samples = prepared([*MANY, *(picture(n, video=video, page="http://a.test/v") for n in range(200, 206))])
    ids = {picture(n)["id"] for n in range(200, 206)}
    assert len({row.split for row in samples.values() if row.frame in ids}) == 1


def test_files_without_a_page_are_groups_of_their_own(prepared):
    files = [{**each, "page": ""} for each in MANY]
    assert prepared(files)[0]["groups"] == 20


def test_what_the_user_says_belongs_together_never_crosses_the_split(prepared):
    files = [{**each, "page": "", "group": f"shoot {number % 5}"} for number, each in enumerate(MANY)]
    report, samples = prepared(files)
    split = {row.frame: row.split for row in samples.values()}
    sides = [{split[each["id"]] for each in files if each["group"] == f"shoot {shoot}"} for shoot in range(5)]
    assert report["groups"] == 5
    assert all(len(side) == 1 for side in sides)


def test_a_group_of_both_roles_falls_whole(prepared):
    page = "http://a.test/mixed.html"
    mixed = [picture(n, page=page, role=("subject", "prior")[n % 2]) for n in range(300, 306)]
    _, samples = prepared([*MANY, *mixed])
    assert len({row.split for row in samples.values() if row.frame in {each["id"] for each in mixed}}) == 1


@pytest.mark.parametrize("heldout", [0.1, 0.25, 0.5])
def test_the_held_out_share_is_met_for_each_role(prepared, heldout):
    many = [picture(n, role=("subject", "prior")[n % 2]) for n in range(40)]
    report, _ = prepared(
        many, heldout=heldout, augment=augment.Config(variants=0, flip=False, min_scale=1.0, rotate=0.0, light=0.0)
    )
    assert report["subject/heldout"] == report["prior/heldout"] == 20 * heldout


def test_a_subject_on_one_page_cannot_be_held_out(prepared):
    same = [picture(n, page="http://a.test/only.html") for n in range(5)]
    with pytest.raises(TableError, match="none can be held out; add others"):
        prepared([*same, *MANY[12:]])


def test_without_a_share_a_subject_on_one_page_is_trained_on(prepared):
    same = [picture(n, page="http://a.test/only.html") for n in range(5)]
    report, samples = prepared(same, heldout=0.0)
    assert {row.split for row in samples.values()} == {"train"}
    assert report["groups"] == 1


def test_a_prior_on_one_page_is_no_fault(prepared):
    prior = [picture(n, role="prior", page="http://a.test/only.html") for n in range(400, 405)]
    assert prepared([*MANY[:12], *prior])[0]["prior/train"] == 5


def test_redacted_pixels_stand_in_for_the_originals(prepared, pixels):
    black = encode_png(np.zeros((24, 24, 3), dtype=np.uint8))
    _, samples = prepared(MANY, redacted={MANY[0]["id"]: black}, out="hidden")
    rows = of(samples, frame=MANY[0]["id"])
    assert all(pixels(row, "hidden").max() < 40 for row in rows)  # light may lift a variant a little
    assert pixels(samples[f"{MANY[0]['id']}-00"], "hidden").max() == 0
    assert pixels(samples[f"{MANY[1]['id']}-00"], "hidden").max() > 200


def test_what_anonymise_gave_up_on_is_left_out(prepared):
    report, samples = prepared(MANY, failed=[MANY[0]["id"], MANY[15]["id"]])
    assert not {MANY[0]["id"], MANY[15]["id"]} & {row.frame for row in samples.values()}
    assert (report["left_out"], report["groups"]) == (2, 18)


def of_a_camera(pixels):
    """A picture with what phones write beside the pixels: place, maker and a comment."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[271] = "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)})
    Image.fromarray(pixels).save(buffer, format="JPEG", exif=exif, comment=b"for my eyes")
    assert b"Maker" in buffer.getvalue()
    return buffer.getvalue()


def test_samples_say_licence_and_credit_and_nothing_that_a_camera_wrote(prepared, tmp_path):
    pictures = [picture(n, encode=of_a_camera) for n in range(8)]
    _, samples = prepared(pictures)
    for row in samples.values():
        png = shards.read(tmp_path / "out", row.place)
        with Image.open(io.BytesIO(png)) as image:
            assert set(image.info) == {"xmp", "XML:com.adobe.xmp"}  # Pillow has two names for it
            assert "A. Painter" in image.info["XML:com.adobe.xmp"]
            assert not image.getexif()
        assert not any(each in png for each in (b"Maker", b"eXIf", b"my eyes", b"GPS"))


def test_the_report_says_how_much_was_cut(prepared):
    wide = [picture(n, width=48, height=24) for n in range(10)]  # a third of 2:1 is not in 3:2, half is not in 1:1
    assert prepared(wide)[0] | {"mean_lost": 0.25, "most_lost": 0.25} == prepared(wide)[0]
    report, _ = prepared([*wide, *MANY], buckets=((16, 16),), out="square")
    assert report["most_lost"] == 0.5
    assert report["mean_lost"] == pytest.approx(10 * 0.5 / 30, abs=1e-4)


FACE = Region(left=30, top=2, width=10, height=10, score=0.9, landmarks=())
MARKS = ((32.0, 5.0), (37.0, 5.0), (35.0, 7.0), (33.0, 10.0), (36.0, 10.0))
SEEN = Region(left=30, top=2, width=10, height=10, score=0.9, landmarks=MARKS)


def portraits(count=6, **others):
    return [picture(n, width=48, height=24, **({"faces": (FACE,)} | others)) for n in range(count)]


def mode(name):
    return crops.Config(mode=name, margin=0.1, min_score=0.5)


def test_a_crop_to_the_face_holds_the_face(prepared, pixels):
    shown = portraits()
    _, samples = prepared(shown, crop=mode("face"), buckets=((16, 16),))
    for each in shown:
        expected = decode(each["body"])[0:16, 27:43]  # 12 pixels would do, and the bucket has 16
        assert (pixels(samples[f"{each['id']}-00"]) == expected).all()


def test_variants_are_made_of_what_the_crop_kept(prepared, pixels):
    still = augment.Config(variants=1, flip=False, min_scale=1.0, rotate=0.0, light=0.0)
    _, samples = prepared(portraits(), crop=mode("face"), buckets=((16, 16),), augment=still)
    trained = of(samples, variant=1)
    assert trained
    for row in trained:
        assert (pixels(row) == pixels(samples[f"{row.frame}-00"])).all()


def test_an_unsure_face_is_none(prepared, pixels):
    unsure = portraits(faces=(dataclasses.replace(FACE, score=0.4),))
    _, samples = prepared(unsure, crop=mode("face"), buckets=((16, 16),), out="face")
    _, centred = prepared(unsure, buckets=((16, 16),), out="centre")
    plain = f"{unsure[0]['id']}-00"
    assert (pixels(samples[plain], "face") == pixels(centred[plain], "centre")).all()


def test_a_redacted_face_is_not_cropped_to(prepared, pixels):
    shown = portraits()
    _, samples = prepared(
        shown, crop=mode("face"), buckets=((24, 24),), redacted={shown[0]["id"]: shown[0]["body"]}, out="hidden"
    )
    assert (pixels(samples[f"{shown[0]['id']}-00"], "hidden") == decode(shown[0]["body"])[:, 12:36]).all()
    assert (pixels(samples[f"{shown[1]['id']}-00"], "hidden") == decode(shown[1]["body"])[:, 23:47]).all()


def test_a_face_without_consent_is_never_made_the_subject(prepared):
    shown = [*portraits(4, faces=(SEEN,), consent="release-1"), *portraits(6, faces=(SEEN,))[4:]]
    message = r"and 2 of 6 pictures that show one have no consent record that counts, file:a the first; give one"
    with pytest.raises(TableError, match=message):
        prepared(shown, crop=mode("aligned"))
    with pytest.raises(TableError, match="have no consent record"):  # also where it was redacted
        prepared(shown, crop=mode("aligned"), redacted={each["id"]: each["body"] for each in shown})


@pytest.mark.parametrize("others", [{"consent_on": date(2027, 1, 1)}, {"publish": True}])
def test_a_consent_that_has_ended_or_does_not_cover_publishing_aligns_no_face(prepared, others):
    with pytest.raises(TableError, match="and 6 of 6 pictures that show one have no consent record that counts"):
        prepared(portraits(faces=(SEEN,), consent="release-1"), crop=mode("aligned"), **others)


def test_a_face_with_consent_is_set_upright(prepared, pixels):
    shown = portraits(faces=(SEEN,), consent="release-1")
    _, samples = prepared(shown, crop=mode("aligned"), buckets=((16, 16),), out="aligned")
    expected, _, _ = crops.aligned(decode(shown[0]["body"]), SEEN, (16, 16), margin=0.1)
    assert (pixels(samples[f"{shown[0]['id']}-00"], "aligned") == expected).all()


def test_faces_of_the_prior_and_pictures_without_faces_need_no_consent_and_keep_their_middle(prepared, pixels):
    prior = [picture(n, width=48, height=24, role="prior") for n in range(50, 54)]
    shown = portraits(faces=(SEEN,), consent="release-1")
    _, samples = prepared([*shown, *prior], crop=mode("aligned"), buckets=((24, 24),), out="aligned")
    assert (pixels(samples[f"{prior[0]['id']}-00"], "aligned") == decode(prior[0]["body"])[:, 12:36]).all()


def test_a_detector_without_landmarks_cannot_align(prepared):
    with pytest.raises(TableError, match="needs eyes, nose and mouth, which this detector does not find"):
        prepared(portraits(consent="release-1"), crop=mode("aligned"))


def test_memory_holds_a_few_pictures_and_never_all(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "1")
    plain = augment.Config(variants=0, flip=False, min_scale=1.0, rotate=0.0, light=0.0)
    pictures = [picture(n, width=160, height=160) for n in range(60)]
    tracemalloc.start()
    prepared(pictures, buckets=((160, 160),), augment=plain)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tar"))
    assert written > 4_000_000
    assert peak < written / 2


def test_adding_a_picture_changes_no_other_samples_bytes(prepared, tmp_path):
    _, before = prepared(MANY, heldout=0.0, out="before")
    _, after = prepared([*MANY, picture(77)], heldout=0.0, out="after")
    assert len(after) == len(before) + 3
    for id, row in before.items():
        assert shards.read(tmp_path / "before", row.place) == shards.read(tmp_path / "after", after[id].place)


def test_another_seed_changes_the_variants_and_no_plain_crop(prepared, tmp_path):
    _, one = prepared(MANY, out="one")
    _, other = prepared(MANY, out="other", seed=1)
    for id, row in one.items():
        same = shards.read(tmp_path / "one", row.place) == shards.read(tmp_path / "other", other[id].place)
        assert same is (row.variant == 0)


@pytest.mark.parametrize(
    ("workers", "engine", "how"),
    [("1", "threads", "centre"), ("4", "threads", "saliency"), ("2", "processes", "saliency")],
)
def test_runs_leave_the_same_bytes_whatever_the_workers(prepared, tmp_path, monkeypatch, workers, engine, how):
    prepared(MANY, out="one", crop=mode(how))
    monkeypatch.setenv("DARKROOM_WORKERS", workers)
    monkeypatch.setenv("DARKROOM_ENGINE", engine)
    prepared(list(reversed(MANY)), out="two", crop=mode(how))
    files = [{path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two")]
    assert files[0] == files[1]


def ruled(number):
    """A picture of 50 by 40 whose red says the column and whose green says the row, five for each pixel."""
    rows, columns = np.mgrid[0:40, 0:50]
    pixels = np.stack([5 * columns, 5 * rows, np.full_like(rows, number)], axis=-1).astype(np.uint8)
    return picture(number, width=50, height=40, encode=lambda _: encode_png(pixels), faces=(RULED_FACE,))


RULED_FACE = Region(left=30, top=20, width=8, height=8, score=0.9, landmarks=())


def seen_corner(pixels, source):
    """Left and top of ``pixels`` of a ``ruled`` picture, in the scale that they have, and whether they are mirrored."""
    reads = pixels[..., :2].astype(float) / 5
    across = (reads[0, -1, 0] - reads[0, 0, 0]) / (pixels.shape[1] - 1)  # pixels of the picture for each of the sample
    down = (reads[-1, 0, 1] - reads[0, 0, 1]) / (pixels.shape[0] - 1)
    first = source[0] - 1 - reads[0, 0, 0] if across < 0 else reads[0, 0, 0]
    left, top = (first + 0.5) / abs(across) - 0.5, (reads[0, 0, 1] + 0.5) / down - 0.5
    return left, top, across < 0


@pytest.mark.parametrize(("crop", "bucket"), [("centre", (16, 16)), ("face", (16, 24)), ("centre", (64, 64))])
def test_a_sample_says_where_in_which_picture_it_was_cut_also_in_the_mirror_and_enlarged(
    prepared, pixels, crop, bucket
):
    plain = augment.Config(variants=6, flip=True, min_scale=0.3, rotate=0.0, light=0.0)
    _, samples = prepared([ruled(n) for n in range(6)], crop=mode(crop), buckets=(bucket,), augment=plain)
    mirrored = Counter()
    for row in samples.values():
        assert (row.source_width, row.source_height) == (50, 40)
        left, top, mirror = seen_corner(pixels(row), (50, 40))
        mirrored[mirror] += 1
        assert (left, top) == pytest.approx((row.crop_left, row.crop_top), abs=2.5), row  # the colours are rounded
    assert mirrored[True] > 5
    assert len({(row.crop_left, row.crop_top) for row in samples.values()}) > 5


def marked(number):
    """A ``ruled`` picture whose mask is its red, so that both tell which column is which."""
    one = ruled(number)
    red = decode(one["body"])[..., 0]
    return one | {"mask": encode_png(red)}


@pytest.mark.parametrize("crop", ["centre", "face", "saliency", "aligned"])
def test_a_mask_is_cut_mirrored_and_turned_as_its_picture(prepared, tmp_path, crop):
    plain = augment.Config(variants=4, flip=True, min_scale=0.5, rotate=8.0, light=0.0)
    pictures = [marked(n) for n in range(4)] + [ruled(n) for n in range(4, 7)]
    if crop == "aligned":
        points = ((31.0, 22.0), (36.0, 21.0), (34.0, 24.0), (32.0, 27.0), (36.0, 26.0))
        face = dataclasses.replace(RULED_FACE, landmarks=points)
        pictures = [each | {"faces": (face,), "consent": "release-1"} for each in pictures]
    report, samples = prepared(pictures, crop=mode(crop), buckets=((16, 16),), augment=plain)
    masks = tables.by_id(tmp_path / "out", Mask)
    assert set(masks) == {id for id, row in samples.items() if row.frame in {each["id"] for each in pictures[:4]}}
    assert report["masked"] == len(masks) > 8
    for id, row in masks.items():
        mask = decode(shards.read(tmp_path / "out", row.place)).astype(int)
        red = decode(shards.read(tmp_path / "out", samples[id].place))[..., 0].astype(int)
        assert mask.shape == (16, 16, 3)
        assert np.abs(mask[..., 0] - red).mean() < 8  # a mask's pixels are the nearest, a picture's the mean
        assert red.std() > 10


def test_light_does_not_touch_a_mask(prepared, tmp_path):
    bright = augment.Config(variants=4, flip=False, min_scale=1.0, rotate=0.0, light=0.5)
    white = [each | {"mask": encode_png(np.full((24, 24), 200, dtype=np.uint8))} for each in MANY[:6]]
    prepared(white, augment=bright)
    masks = tables.read(tmp_path / "out", Mask)
    assert len(masks) > 20
    assert all((decode(shards.read(tmp_path / "out", row.place)) == 200).all() for row in masks)


def test_a_mask_of_another_size_is_one_message(prepared):
    small = MANY[0] | {"mask": encode_png(np.zeros((12, 24), dtype=np.uint8))}
    with pytest.raises(TableError, match="the mask of file:a has 24 x 12 pixels and the picture 24 x 24; draw it in"):
        prepared([small, *MANY[1:]])


def test_a_bucket_that_the_family_cannot_take_is_refused():
    assert config(buckets=((48, 32),), side_multiple=16).buckets == ((48, 32),)
    with pytest.raises(ValidationError, match="a bucket of 32 x 40 pixels does not fit the family; both sides must be"):
        config(buckets=((48, 32), (32, 40)), side_multiple=16)


def test_what_was_held_out_stays_held_out_with_all_that_is_near_it_whatever_else_changes(prepared):
    _, samples = prepared(MANY)
    held = {row.frame for row in of(samples, split="heldout")}
    copy = picture(60, page=MANY[0]["page"])
    more = [*MANY, copy, *(picture(n) for n in range(61, 70))]
    _, after = prepared(more, held=held | {MANY[0]["id"]}, salt="another", heldout=0.1, out="after")
    now = {row.frame for row in of(after, split="heldout")}
    assert held | {MANY[0]["id"], copy["id"]} <= now
    assert len(now) < len(more)


def test_weights_of_the_round_before_are_followed_when_asked_for(prepared):
    _, samples = prepared(MANY, weights={MANY[0]["id"]: 2.0}, follow_weights=True)
    assert {row.weight for row in of(samples, frame=MANY[0]["id"])} == {2.0}
    assert {row.weight for row in samples.values() if row.frame != MANY[0]["id"]} == {1.0}
    _, samples = prepared(MANY, weights={MANY[0]["id"]: 2.0}, out="unasked")
    assert {row.weight for row in samples.values()} == {1.0}
