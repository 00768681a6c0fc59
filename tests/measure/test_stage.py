"""The stage: one row of facts for each frame, and a row for each that cannot be decoded."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from stages import plugins, shards, specimens, tables, tensors
from stages.errors import ConfigError, ImageError, ModelError
from stages.images import encode_jpeg, encode_png, read
from stages.measure import signals
from stages.measure.stage import Config, run
from stages.records import Failure, Frame, Quality

DETECTOR = {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10}
LIMITS = {"side": 512, "seconds": 10.0, "gigabytes": 1.0, "threads": 1, "max_failures": 1.0}
LIMITS |= dict.fromkeys(("embedding", "aesthetic", "nsfw"))
NONE = DETECTOR | {"min_face": 0.9}  # quick: only the largest windows are searched
ASTRONAUT = (60, 0, 360, 240)  # of the photograph: the face


@pytest.fixture
def measured(tmp_path):
    """Measure files by name; gives what came of each, by its name, and the report."""

    def measure(files, detector=NONE, store="crawl", **others):
        ids = {hashlib.sha256(content).hexdigest(): name for name, content in files.items()}
        stores = {"crawl": tmp_path / "crawl", "frames": tmp_path / "frames"}
        bodies = {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        places = shards.write(stores[store], bodies, digits=1)
        frames = [Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store=store, place=places[id]) for id in ids]
        tables.write(stores["frames"], Frame, frames)
        config = Config(detector=detector, **(LIMITS | others))
        report = run(config, crawled=stores["crawl"], frames=stores["frames"], out=tmp_path / "out")
        rows = [*tables.read(tmp_path / "out", Quality), *tables.read(tmp_path / "out", Failure)]
        return {ids[row.id]: row for row in rows}, report

    return measure


def test_size_exposure_and_hash_are_written_for_each_frame(measured):
    flat = np.full((48, 64, 3), 128, dtype=np.uint8)
    rows, report = measured({"flat": encode_png(flat), "cat": encode_jpeg(specimens.photograph("chelsea"), quality=92)})
    assert (rows["flat"].width, rows["flat"].height, rows["flat"].brightness) == (64, 48, 128.0)
    assert (rows["flat"].contrast, rows["flat"].sharpness, rows["flat"].faces) == (0.0, 0.0, ())
    assert (rows["cat"].width, rows["cat"].height) == (451, 300)
    assert rows["cat"].sharpness > 50
    assert len(bytes.fromhex(rows["cat"].hash)) == 32
    assert report == {"frames": 2, "failed": 0, "faces": 0}


@pytest.mark.parametrize(
    ("detector", "error"),
    [
        ({"name": "yunet", "path": "none.onnx", "sha256": "0" * 64, "side": 64, "min_score": 0.5}, ModelError),
        ({"name": "nobody"}, ConfigError),
        ({"name": "lbp", "side": "wide"}, ConfigError),
    ],
)
def test_a_detector_that_cannot_be_had_is_an_error_and_no_fault_of_the_pictures(measured, detector, error):
    with pytest.raises(error, match="detectors"):
        measured({"a": encode_png(np.zeros((8, 8, 3), dtype=np.uint8))}, detector=detector)


def test_light_and_colour_are_those_of_the_picture(measured):
    black, white, red = (np.full((40, 60, 3), colour, dtype=np.uint8) for colour in (0, 255, (255, 0, 0)))
    halves = np.concatenate([black, white])
    rows, _ = measured({"halves": encode_png(halves), "red": encode_png(red)})
    assert (rows["halves"].dark, rows["halves"].bright, rows["halves"].entropy) == (0.5, 0.5, 1.0)
    assert (rows["red"].dark, rows["red"].bright, rows["red"].entropy) == (0.0, 0.0, 0.0)
    assert rows["halves"].colourfulness == 0.0
    assert rows["red"].colourfulness == pytest.approx(0.3 * np.hypot(255, 127.5), abs=0.1)
    assert rows["halves"].text == rows["red"].watermark == 0.0


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_the_format_is_that_of_the_content(measured, form):
    buffer = io.BytesIO()
    Image.fromarray(specimens.photograph("chelsea")).save(buffer, form)
    rows, _ = measured({"picture.jpg": buffer.getvalue()})
    assert rows["picture.jpg"].format == form


def test_where_nothing_can_be_decoded_the_run_stops_here_and_says_why(measured, tmp_path):
    files = {"sound": encode_png(np.zeros((8, 8, 3), dtype=np.uint8)), "text": b"hello", "page": b"<html></html>"}
    measured(files, max_failures=0.67)
    with pytest.raises(
        ImageError, match=r"^measure: 2 of 3 failed, more than measure\.max_failures = 0\.66 allows: .*\(2\); see"
    ):
        measured(files, max_failures=0.66)
    assert len(tables.read(tmp_path / "out", Failure)) == 2  # for eyes


def test_without_a_model_nothing_is_said_for_one(measured, tmp_path):
    rows, _ = measured({"cat": encode_jpeg(specimens.photograph("chelsea"), quality=92)})
    assert rows["cat"].aesthetic is rows["cat"].nsfw is None
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["failure.jsonl", "quality.jsonl"]


def test_a_chosen_model_sees_each_picture_once_at_the_side(measured, choice, tmp_path):
    files = {name: encode_jpeg(specimens.photograph(name), quality=92) for name in ("chelsea", "retina")}
    chosen = {"embedding": choice("clip"), "nsfw": choice("labelled", label="nsfw")}
    rows, _ = measured(files, **chosen)
    vectors = tensors.read(tmp_path / "out", "embedding")
    first = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert set(vectors) == {row.id for row in rows.values()}
    assert all(0 < row.nsfw < 1 for row in rows.values())
    small = signals.smaller(read(files["retina"]).pixels, side=512)
    expected = plugins.build("stages.measure.embeddings", choice("clip"))(small)
    assert np.array_equal(vectors[rows["retina"].id].numpy(), expected)
    measured(files, **chosen)
    assert first == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}


def test_a_picture_that_takes_too_long_is_a_row_and_the_others_go_on(measured):
    slow = encode_png(np.zeros((8000, 8000, 3), dtype=np.uint8))
    rows, report = measured({"slow": slow, "cat": encode_png(specimens.photograph("chelsea"))}, seconds=0.25)
    assert rows["slow"].reason == "decoding it took more than 0.25 seconds"
    assert isinstance(rows["cat"], Quality)
    assert report["failed"] == 1


def test_a_picture_that_takes_too_much_memory_is_a_row(measured):
    large = encode_png(np.zeros((6000, 6000, 3), dtype=np.uint8))
    rows, _ = measured({"large": large, "cat": encode_png(specimens.photograph("chelsea"))}, gigabytes=0.15)
    assert rows["large"].reason in (
        "decoding it took more than 0.15 GB of memory",
        "not a picture that can be decoded (out of memory)",
    )
    assert isinstance(rows["cat"], Quality)


@pytest.mark.slow
def test_the_same_pictures_give_the_same_bytes_whatever_the_workers(measured, tmp_path, monkeypatch):
    files = {name: encode_jpeg(specimens.photograph(name), quality=92) for name in ("chelsea", "coffee", "rocket")}
    tables_of = []
    for workers in ("1", "3"):
        monkeypatch.setenv("DARKROOM_WORKERS", workers)
        measured(dict(sorted(files.items(), reverse=workers == "3")))
        tables_of.append((tmp_path / "out" / "quality.jsonl").read_bytes())
    assert tables_of[0] == tables_of[1]


def test_what_cannot_be_decoded_is_a_row(measured):
    whole = encode_jpeg(specimens.photograph("chelsea"), quality=92)
    rows, report = measured({"cut": whole[: len(whole) // 2], "none": b"no picture", "good": whole})
    assert {name for name, row in rows.items() if isinstance(row, Failure)} == {"cut", "none"}
    assert rows["none"].reason == "not a picture of a known format"
    assert (report["frames"], report["failed"]) == (3, 2)


def test_stills_are_read_from_the_frames_own_shards(measured):
    rows, _ = measured({"still": encode_png(np.zeros((8, 9, 3), dtype=np.uint8))}, store="frames")
    assert (rows["still"].width, rows["still"].height) == (9, 8)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (3000, 1, 3)])
def test_the_thinnest_pictures_are_measured(measured, shape):
    rows, report = measured({"thin": encode_png(np.zeros(shape, dtype=np.uint8))}, detector=DETECTOR)
    assert (rows["thin"].height, rows["thin"].width, report["failed"]) == (*shape[:2], 0)


def test_the_astronauts_face_is_found_and_none_in_a_coin_or_a_wall(measured):
    face = specimens.crop(specimens.photograph("astronaut"), ASTRONAUT)
    coin, wall = (specimens.crop(specimens.photograph(name), (0, 0, 160, 160)) for name in ("coins", "brick"))
    files = {name: encode_jpeg(pixels, quality=92) for name, pixels in (("face", face), ("coin", coin), ("wall", wall))}
    rows, report = measured(files, detector=DETECTOR)
    (box,) = rows["face"].faces
    assert box.left < 164 < box.left + box.width  # the nose, in pixels of the crop
    assert box.top < 118 < box.top + box.height
    assert rows["coin"].faces == rows["wall"].faces == ()
    assert report["faces"] == 1


def test_a_picture_turned_by_its_exif_is_measured_upright(measured):
    pixels = specimens.crop(specimens.photograph("astronaut"), ASTRONAUT)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(np.rot90(pixels)).save(buffer, format="PNG", exif=exif)
    rows, _ = measured({"turned": buffer.getvalue(), "upright": encode_png(pixels)}, detector=DETECTOR)
    turned, upright = rows["turned"], rows["upright"]
    assert (turned.width, turned.height) == (300, 240)
    assert (turned.hash, turned.sharpness, turned.faces) == (upright.hash, upright.sharpness, upright.faces)
    assert len(turned.faces) == 1
