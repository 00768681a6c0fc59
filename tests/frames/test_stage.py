"""The stage: pictures pass through, videos become stills, and a broken one is a row."""

import hashlib

import pytest

from stages import shards, tables
from stages.frames.stage import Config, run, still_id
from stages.images import decode
from stages.records import Failure, Frame, Item

CONFIG = Config(every_s=1.0, max_stills=60, shard_digits=1)


@pytest.fixture
def crawled(tmp_path):
    """Write items of (kind, bytes) as crawl would; gives the folder."""

    def write(*things):
        bodies = {hashlib.sha256(body).hexdigest(): (kind, body) for kind, body in things}
        places = shards.write(tmp_path / "crawl", {id: body for id, (_, body) in bodies.items()}, digits=1)
        said = {"page": "", "alt": "", "title": "", "author": "", "licence": "CC0-1.0"}
        said |= {"licence_evidence": (), "signals": (), "credit": "", "consent": ""}
        rows = [
            Item(id=id, url=f"file:{id[:4]}", kind=kind, place=places[id], **said) for id, (kind, _) in bodies.items()
        ]
        tables.write(tmp_path / "crawl", Item, rows)
        return tmp_path / "crawl"

    return write


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_pass_through_and_their_bytes_stay_where_they_are(crawled, tmp_path):
    folder = crawled(("image", b"picture"), ("image", b"no picture, but that is measure's business"))
    assert run(CONFIG, crawled=folder, out=tmp_path / "out") == {"pictures": 2, "videos": 0, "stills": 0, "failed": 0}
    items = tables.by_id(folder, Item)
    for frame in tables.read(tmp_path / "out", Frame):
        assert (frame.id, frame.item, frame.time_ms, frame.store) == (frame.item, frame.id, 0.0, "crawl")
        assert frame.place == items[frame.id].place
    assert sorted(files(tmp_path / "out")) == ["failure.jsonl", "frame.jsonl"]


def test_a_video_becomes_stills_with_pixels_of_their_own(crawled, film, tmp_path):
    video = film(30, 10)
    folder = crawled(("video", video), ("image", b"picture"))
    assert run(CONFIG, crawled=folder, out=tmp_path / "out") == {"pictures": 1, "videos": 1, "stills": 3, "failed": 0}
    stills = [frame for frame in tables.read(tmp_path / "out", Frame) if frame.store == "frames"]
    assert sorted(frame.time_ms for frame in stills) == [0.0, 1000.0, 2000.0]
    for frame in stills:
        assert frame.item == hashlib.sha256(video).hexdigest()
        assert frame.id == still_id(frame.item, frame.time_ms)
        assert abs(decode(shards.read(tmp_path / "out", frame.place)).mean() - 6 * frame.time_ms / 100) < 6


def test_ids_of_stills_are_stable():
    assert still_id("ab", 1000.0) == hashlib.sha256(b"ab 1000.000 ms").hexdigest()
    assert len({still_id("ab", 0.0), still_id("ab", 1000.0), still_id("cd", 0.0)}) == 3


def test_no_more_stills_than_allowed_are_taken(crawled, film, tmp_path):
    config = Config(every_s=0.1, max_stills=4, shard_digits=1)
    assert run(config, crawled=crawled(("video", film())), out=tmp_path / "out")["stills"] == 4


def test_a_broken_video_is_a_row_and_the_others_go_on(crawled, film, tmp_path):
    folder = crawled(("video", film()), ("video", b"no video"))
    assert run(CONFIG, crawled=folder, out=tmp_path / "out")["failed"] == 1
    (failure,) = tables.read(tmp_path / "out", Failure)
    assert failure.id == hashlib.sha256(b"no video").hexdigest()
    assert failure.reason == "not a video that can be decoded"
    assert len(tables.read(tmp_path / "out", Frame)) == 3


def test_two_runs_leave_the_same_bytes(crawled, film, tmp_path):
    folder = crawled(("video", film()), ("image", b"picture"))
    for out in ("one", "two"):
        run(CONFIG, crawled=folder, out=tmp_path / out)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_another_video_changes_no_still(crawled, film, tmp_path):
    one, other = film(30, 10), film(20, 10)
    run(CONFIG, crawled=crawled(("video", one)), out=tmp_path / "one")
    run(CONFIG, crawled=crawled(("video", one), ("video", other)), out=tmp_path / "two")
    before, after = (tables.by_id(tmp_path / name, Frame) for name in ("one", "two"))
    assert len(after) == len(before) + 2
    for id, frame in before.items():
        assert shards.read(tmp_path / "one", frame.place) == shards.read(tmp_path / "two", after[id].place)
