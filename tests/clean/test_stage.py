"""The stage on the sample site, where each trap has its verdict."""

import dataclasses
from collections import Counter

import pytest

from stages import tables
from stages.clean.stage import Config, run
from stages.crawl import site
from stages.crawl import stage as crawl
from stages.errors import TableError
from stages.frames import stage as frames
from stages.licences import Use
from stages.measure import stage as measure
from stages.records import Frame, Item, Verdict
from stages.web.client import Manners

HOME = "http://sample.test"
CONFIG = Config(
    use=Use(commercial=True, honour_opt_outs=True),
    min_side=96,
    min_sharpness=4.0,
    min_brightness=10.0,
    max_brightness=245.0,
    min_contrast=5.0,
    twin_distance=40,
    blocklist=(),
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What crawl, frames and measure leave of the sample site; faces are not looked for in earnest."""
    root = tmp_path_factory.mktemp("sample")
    manners = Manners(
        agent="Darkroom", contact="none", pause=0.0, max_pause=1.0, timeout=5.0, deadline=30.0,
        max_bytes=5_000_000, retries=1, backoff=0.0,
    )  # fmt: skip
    sample = {"name": "sample", "specimens": "photographs", "depth": 2, "max_pages": 100, "max_items": 1000}
    fetch = crawl.Config(sources={"s": sample}, manners=manners, fresh_hours=1.0, max_failures=0.0, shard_digits=1)
    detector = {"name": "lbp", "side": 64, "min_face": 0.9, "min_neighbours": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(root / "cache"))
        crawl.run(fetch, own=root, out=root / "crawl")
    frames.run(frames.Config(every_s=1.0, max_stills=60, shard_digits=1), crawled=root / "crawl", out=root / "frames")
    no_models = dict.fromkeys(("embedding", "aesthetic", "nsfw"))
    config = measure.Config(side=512, seconds=10.0, gigabytes=1.0, threads=1, detector=detector, **no_models)
    measure.run(config, crawled=root / "crawl", frames=root / "frames", out=root / "measure")
    return root


@pytest.fixture
def judged(measured, tmp_path):
    """Run the stage; gives the report, and each reason (or twin) by the path of the picture that goes."""

    def judge(**others):
        inputs = {"crawled": measured / "crawl", "frames": measured / "frames", "measured": measured / "measure"}
        report = run(dataclasses.replace(CONFIG, **others), **inputs, out=tmp_path / "out")
        items, stills = tables.by_id(measured / "crawl", Item), tables.by_id(measured / "frames", Frame)
        path = {id: items[still.item].url.removeprefix(HOME) for id, still in stills.items()}
        rows = tables.read(tmp_path / "out", Verdict)
        assert len(rows) == len(stills) == 104
        gone = {path[row.id]: path[row.twin] if row.twin else row.reason for row in rows if not row.keep}
        return report, gone

    return judge


def test_every_trap_of_the_sample_site_has_its_verdict(judged):
    report, gone = judged()
    assert gone == {
        "/copies/again.jpg": f"/{site.SUBJECT}/01-1.jpg",
        "/copies/small.jpg": f"/{site.SUBJECT}/01-1.jpg",
        "/noai/retina.jpg": "opted out",
        "/shop/cat.jpg": "licence non-commercial",
        "/found/tissue.jpg": "licence unknown",
        "/broken/cut.jpg": "broken",
        "/broken/tiny.jpg": "small",
        "/broken/blurred.jpg": "blurred",
    }
    counted = Counter({f"dropped/{reason}".replace(" ", "_"): 1 for reason in gone.values() if "/" not in reason})
    assert report == {"kept": 96, "dropped/twin": 2, **counted}


def test_a_use_without_money_keeps_the_shops_picture_too(judged):
    report, gone = judged(use=Use(commercial=False, honour_opt_outs=False))
    assert report["kept"] >= 97
    assert not {"/shop/cat.jpg", "/noai/retina.jpg"} & {path for path, why in gone.items() if "/" not in why}


def test_a_blocked_picture_goes(judged, measured):
    coin = next(each for each in tables.read(measured / "crawl", Item) if each.url.endswith("/coins/1-1.jpg"))
    report, gone = judged(blocklist=(coin.id,))
    assert gone["/coins/1-1.jpg"] == "blocked"
    assert report["dropped/blocked"] == 1


def test_two_runs_leave_the_same_bytes(judged, tmp_path):
    judged()
    first = (tmp_path / "out" / "verdict.jsonl").read_bytes()
    judged()
    assert (tmp_path / "out" / "verdict.jsonl").read_bytes() == first


def test_nothing_kept_is_an_error_with_the_reasons(judged):
    with pytest.raises(TableError, match=r"clean: none of 104 frames stays \(1 broken, .*\d+ small.*loosen conf/clean"):
        judged(min_side=5000)
