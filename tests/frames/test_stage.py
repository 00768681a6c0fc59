"""The stage: pictures pass through, videos become stills, and a broken one is a row."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest

from stages import shards, tables
from stages.errors import ImageError
from stages.frames import stage
from stages.frames.stage import Config, run, still_id
from stages.images import decode
from stages.records import Failure, Frame, Item


@pytest.fixture
def config(settings_of):
    """The stage's settings; give those of stills to change them."""

    def make(*, gigabytes=1.0, max_failures=1.0, **how):
        limits = {"seconds": 60.0, "gigabytes": gigabytes, "max_failures": max_failures}
        return Config(stills=settings_of(**how), **limits, shard_digits=1)

    return make


@pytest.fixture
def crawled(tmp_path):
    """Write items of (kind, bytes) as crawl would; gives the folder."""

    def write(*things):
        bodies = {hashlib.sha256(body).hexdigest(): (kind, body) for kind, body in things}
        places = shards.write(tmp_path / "crawl", {id: body for id, (_, body) in bodies.items()}, digits=1)
        said = {"page": "", "alt": "", "title": "", "author": "", "licence": "CC0-1.0"}
        said |= {"licence_evidence": (), "signals": (), "credit": "", "consent": "", "group": ""}
        rows = [
            Item(id=id, url=f"file:{id[:4]}", kind=kind, place=places[id], **said) for id, (kind, _) in bodies.items()
        ]
        tables.write(tmp_path / "crawl", Item, rows)
        return tmp_path / "crawl"

    return write


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_pass_through_and_their_bytes_stay_where_they_are(config, crawled, tmp_path):
    folder = crawled(("image", b"picture"), ("image", b"no picture, but that is measure's business"))
    assert run(config(), crawled=folder, out=tmp_path / "out") == {"pictures": 2, "videos": 0, "stills": 0, "failed": 0}
    items = tables.by_id(folder, Item)
    for frame in tables.read(tmp_path / "out", Frame):
        assert (frame.id, frame.item, frame.store) == (frame.item, frame.id, "crawl")
        assert (frame.pts, frame.time_base, frame.time_ms) == (0, "", 0.0)
        assert frame.place == items[frame.id].place
    assert sorted(files(tmp_path / "out")) == ["failure.jsonl", "frame.jsonl"]


def test_a_video_becomes_stills_with_pixels_of_their_own(config, crawled, film, tmp_path):
    video = film(30, 10)
    folder = crawled(("video", video), ("image", b"picture"))
    assert run(config(), crawled=folder, out=tmp_path / "out") == {"pictures": 1, "videos": 1, "stills": 3, "failed": 0}
    stills = [frame for frame in tables.read(tmp_path / "out", Frame) if frame.store == "frames"]
    assert sorted(frame.time_ms for frame in stills) == [0.0, 1000.0, 2000.0]
    for frame in stills:
        assert frame.item == hashlib.sha256(video).hexdigest()
        assert frame.id == still_id(frame.item, frame.pts, frame.time_base)
        assert frame.pts * Fraction(frame.time_base) * 1000 == frame.time_ms
        assert np.unique(decode(shards.read(tmp_path / "out", frame.place))).tolist() == [6 * frame.time_ms / 100]
    assert sorted(files(tmp_path / "out")) == sorted(
        {"failure.jsonl", "frame.jsonl", *(frame.place.shard for frame in stills)}
    )


def test_ids_of_stills_are_stable():
    assert still_id("ab", 12800, "1/12800") == hashlib.sha256(b"ab 12800 1/12800").hexdigest()
    assert len({still_id("ab", 0, "1/25"), still_id("ab", 1, "1/25"), still_id("cd", 0, "1/25")}) == 3


def test_ids_of_stills_do_not_depend_on_the_encoder(config, crawled, film, tmp_path, monkeypatch):
    folder = crawled(("video", film()))
    monkeypatch.setenv("DARKROOM_ENGINE", "threads")
    run(config(), crawled=folder, out=tmp_path / "one")
    (item,) = tables.read(folder, Item)
    monkeypatch.setattr(stage, "encode_png", lambda pixels: b"another encoder's")
    found = stage._of_one(item, film(), config(), tmp_path / "two")
    assert {frame.id for frame in found} == {frame.id for frame in tables.read(tmp_path / "one", Frame)}


def test_no_more_stills_than_allowed_are_taken(config, crawled, film, tmp_path):
    strict = config(every_s=0.1, max_stills=4)
    assert run(strict, crawled=crawled(("video", film())), out=tmp_path / "out")["stills"] == 4


def test_broken_videos_are_rows_with_reasons_and_the_others_go_on(config, crawled, film, sound, tmp_path):
    folder = crawled(("video", film()), ("video", b"no video"), ("video", sound))
    assert run(config(), crawled=folder, out=tmp_path / "out")["failed"] == 2
    assert {failure.id: failure.reason for failure in tables.read(tmp_path / "out", Failure)} == {
        hashlib.sha256(b"no video").hexdigest(): "not a video that can be decoded",
        hashlib.sha256(sound).hexdigest(): "has no video track",
    }
    assert len(tables.read(tmp_path / "out", Frame)) == 3


def test_too_many_broken_videos_stop_the_stage_with_their_reasons(config, crawled, film, sound, tmp_path):
    folder = crawled(("video", film()), ("video", b"no video"), ("video", sound), ("image", b"picture"))
    run(config(max_failures=0.5), crawled=folder, out=tmp_path / "out")
    with pytest.raises(ImageError, match=r"^frames: 2 of 4 failed.* has no video track \(1\); not a video"):
        run(config(max_failures=0.49), crawled=folder, out=tmp_path / "out")
    assert len(tables.read(tmp_path / "out", Failure)) == 2


def test_a_video_that_takes_too_much_is_a_row_and_the_others_go_on(config, crawled, film, encoded, tmp_path):
    large = encoded([np.zeros((5000, 5000, 3), dtype=np.uint8)], [0], "mov", "png")
    folder = crawled(("video", film(30)), ("video", large))
    assert run(config(gigabytes=0.15), crawled=folder, out=tmp_path / "out")["stills"] == 3
    (failure,) = tables.read(tmp_path / "out", Failure)
    assert (failure.id, failure.reason) == (hashlib.sha256(large).hexdigest(), "took more than 0.15 GB of memory")
    assert not [name for name in files(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("engine", ["processes", "daft"])
def test_every_engine_leaves_the_same_bytes(config, crawled, film, tmp_path, monkeypatch, engine):
    folder = crawled(("video", film()), ("video", film(20)), ("video", b"no video"), ("image", b"picture"))
    for name in ("threads", engine):
        monkeypatch.setenv("DARKROOM_ENGINE", name)
        run(config(), crawled=folder, out=tmp_path / name)
    assert files(tmp_path / "threads") == files(tmp_path / engine)


def test_two_runs_leave_the_same_bytes(config, crawled, film, tmp_path):
    folder = crawled(("video", film()), ("image", b"picture"))
    for out in ("one", "two"):
        run(config(), crawled=folder, out=tmp_path / out)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_another_video_changes_no_still(config, crawled, film, tmp_path):
    one, other = film(30, 10), film(20, 10)
    run(config(), crawled=crawled(("video", one)), out=tmp_path / "one")
    run(config(), crawled=crawled(("video", one), ("video", other)), out=tmp_path / "two")
    before, after = (tables.by_id(tmp_path / name, Frame) for name in ("one", "two"))
    assert len(after) == len(before) + 2
    for id, frame in before.items():
        assert shards.read(tmp_path / "one", frame.place) == shards.read(tmp_path / "two", after[id].place)
