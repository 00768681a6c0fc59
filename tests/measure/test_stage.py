"""The stage: one row of facts for each frame, and a row for each that cannot be decoded."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from stages import shards, specimens, tables
from stages.images import encode_jpeg, encode_png
from stages.measure.stage import Config, run
from stages.records import Failure, Frame, Quality

DETECTOR = {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10}
LIMITS = {"side": 512, "seconds": 10.0, "gigabytes": 1.0, "threads": 1}
LIMITS |= dict.fromkeys(("embedding", "aesthetic", "nsfw"))
NONE = DETECTOR | {"min_face": 0.9}  # quick: only the largest windows are searched
ASTRONAUT = (60, 0, 360, 240)  # of the photograph: the face


@pytest.fixture
def measured(tmp_path):
    """Measure files by name; gives what came of each, by its name, and the report."""

    def measure(files, detector=NONE, store="crawl"):
        ids = {hashlib.sha256(content).hexdigest(): name for name, content in files.items()}
        stores = {"crawl": tmp_path / "crawl", "frames": tmp_path / "frames"}
        bodies = {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        places = shards.write(stores[store], bodies, digits=1)
        frames = [Frame(id=id, item=id, time_ms=0.0, store=store, place=places[id]) for id in ids]
        tables.write(stores["frames"], Frame, frames)
        config = Config(detector=detector, **LIMITS)
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
