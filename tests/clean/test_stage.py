"""The stage on the sample site, where each trap has its verdict."""

import dataclasses
import shutil
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
import torch
import yaml

from stages import config, rights, tables, tensors
from stages.clean.balance import Balance
from stages.clean.stage import Config, run
from stages.clean.suggestions import Suggestion
from stages.config import load
from stages.crawl import site
from stages.crawl import stage as crawl
from stages.errors import ConfigError, TableError
from stages.frames import stage as frames
from stages.measure import stage as measure
from stages.records import Consent, Evidence, Frame, Item, Quality, Region, Ruling, Verdict
from stages.web.client import Manners

HOME = "http://sample.test"
POLICIES = {
    file.stem: config.check(yaml.safe_load(file.read_text()), rights.Policy, where=file.name)
    for file in (Path(__file__).parents[2] / "conf/policy").glob("*.yaml")
}
CONFIG = Config(
    policy=POLICIES["licensed"],
    blocklist=(),
    blocked_distance=31,
    faces="keep",
    consent_on=date(2026, 6, 1),
    min_face=0.0,
    min_side=96,
    min_sharpness=4.0,
    min_brightness=10.0,
    max_brightness=245.0,
    max_dark=None,
    max_bright=None,
    min_contrast=5.0,
    min_entropy=None,
    min_colourfulness=None,
    max_text=None,
    max_watermark=None,
    min_aesthetic=None,
    max_nsfw=None,
    twin_distance=40,
    twin_looks="mirrored",
    min_hash_quality=50,
    refused_twins="reserved",
    likeness=None,
    thin=3,
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What crawl, frames and measure leave of the sample site; faces are not looked for in earnest."""
    root = tmp_path_factory.mktemp("sample")
    manners = Manners(
        agent="Darkroom", contact="none", pause=0.0, max_pause=1.0, timeout=5.0, deadline=30.0,
        max_bytes=5_000_000, retries=1, backoff=0.0, private=True,
    )  # fmt: skip
    sample = {
        "name": "sample",
        "specimens": "photographs",
        "depth": 2,
        "max_pages": 100,
        "max_items": 1000,
        "limits": {},
    }
    fetch = crawl.Config(
        sources={"s": sample}, manners=manners, fresh_hours=1.0, max_failures=0.0, shard_digits=1, follow_requests=False
    )
    detector = {"name": "lbp", "side": 64, "min_face": 0.9, "min_neighbours": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(root / "cache"))
        crawl.run(fetch, own=root, out=root / "crawl")
    defaults = load(Path(__file__).parents[2] / "params.yaml", "frames", frames.Config)
    frames.run(defaults, crawled=root / "crawl", out=root / "frames")
    limits = {"side": 512, "seconds": 60.0, "gigabytes": 1.0, "threads": 1, "max_failures": 1.0}
    config = measure.Config(detector=detector, embedding=None, aesthetic=None, nsfw=None, **limits)
    measure.run(config, crawled=root / "crawl", frames=root / "frames", out=root / "measure")
    return root


@pytest.fixture
def judged(measured, tmp_path):
    """Run the stage; gives the report, and each reason (or twin) by the path of the picture that goes."""

    def judge(folders=None, **others):
        inputs = {"crawled": measured / "crawl", "frames": measured / "frames", "measured": measured / "measure"}
        inputs |= {"own": tmp_path / "own"} | (folders or {})
        report = run(dataclasses.replace(CONFIG, **others), **inputs, out=tmp_path / "out")
        items, stills = tables.by_id(measured / "crawl", Item), tables.by_id(measured / "frames", Frame)
        path = {id: items[still.item].url.removeprefix(HOME) for id, still in stills.items()}
        rows = tables.read(tmp_path / "out", Verdict)
        assert len(rows) == len(stills) == 107
        gone = {path[row.id]: path[row.twin] if row.twin else row.reason for row in rows if not row.keep}
        return report, gone

    return judge


def test_every_trap_of_the_sample_site_has_its_verdict(judged):
    report, gone = judged()
    assert gone == {
        "/copies/again.jpg": f"/{site.SUBJECT}/01-1.jpg",
        "/copies/small.jpg": f"/{site.SUBJECT}/01-1.jpg",
        "/noai/retina.jpg": "opted out",
        "/reserved/coins.jpg": "opted out",
        "/signal/coffee.jpg": "opted out",
        "/usage/rocket.jpg": "opted out",
        "/shop/cat.jpg": "licence non-commercial",
        "/found/tissue.jpg": "licence unknown",
        "/broken/cut.jpg": "broken",
        "/broken/tiny.jpg": "small",
        "/broken/blurred.jpg": "blurred",
    }
    counted = Counter(f"dropped/{reason}".replace(" ", "_") for reason in gone.values() if "/" not in reason)
    assert {name: count for name, count in report.items() if "drop" in name} == {"dropped/twin": 2, **counted}
    assert report["kept"] == 96
    assert (report["twins/groups"], report["twins/largest"]) == (1, 3)


def test_research_without_money_keeps_the_shops_picture_too(judged):
    report, gone = judged(policy=POLICIES["research"])
    assert report["kept"] >= 97
    assert not {"/shop/cat.jpg", "/noai/retina.jpg"} & {path for path, why in gone.items() if "/" not in why}


@pytest.mark.parametrize(
    ("changed", "dropped"),
    [({}, 0), ({"expires": "2026-01-31"}, 1), ({"scope": ("train",)}, 1), ({"id": "another"}, 1)],
)
def test_only_a_consent_that_counts_keeps_a_face(changed, dropped, judged, measured, tmp_path):
    for name in ("crawl", "measure"):
        shutil.copytree(measured / name, tmp_path / name)
    items, facts = tables.read(measured / "crawl", Item), tables.by_id(measured / "measure", Quality)
    one = next(each.id for each in items if each.url.endswith("/coins/1-1.jpg"))
    face = Region(left=0, top=0, width=50, height=50, score=1.0, landmarks=())
    said = [dataclasses.replace(each, consent="r-1") if each.id == one else each for each in items]
    seen = [dataclasses.replace(each, faces=(face,) if each.id == one else ()) for each in facts.values()]
    values = {"id": "r-1", "subjects": ("S-1",), "basis": "release", "scope": ("train", "publish"), "evidence": ""}
    values |= {"granted": "2026-01-01", "expires": "", "revoked": ""} | changed
    tables.write(tmp_path / "crawl", Item, said)
    tables.write(tmp_path / "crawl", Consent, [Consent(**values)])
    tables.write(tmp_path / "measure", Quality, seen)
    report, _ = judged({"crawled": tmp_path / "crawl", "measured": tmp_path / "measure"}, faces="consented")
    assert report.get("dropped/face_without_consent", 0) == dropped


def test_a_blocked_picture_goes(judged, measured):
    coin = next(each for each in tables.read(measured / "crawl", Item) if each.url.endswith("/coins/1-1.jpg"))
    report, gone = judged(blocklist=(coin.id,))
    assert gone["/coins/1-1.jpg"] == "blocked"
    assert report["dropped/blocked"] == 1


def test_what_data_own_lists_goes_by_what_it_shows(judged, measured, tmp_path):
    small = next(each for each in tables.read(measured / "crawl", Item) if each.url.endswith("/copies/small.jpg"))
    (tmp_path / "own").mkdir()
    listed = tables.by_id(measured / "measure", Quality)[small.id].hash
    (tmp_path / "own" / "blocklist.txt").write_text(f"pdq:{listed}  # and every larger copy of it\n")
    _, gone = judged()
    blocked = {path for path, why in gone.items() if why == "blocked"}
    assert blocked == {"/copies/again.jpg", "/copies/small.jpg", f"/{site.SUBJECT}/01-1.jpg"}


def test_a_hash_that_says_little_is_not_held_against_a_listed_one(judged, measured, tmp_path):
    quality = tables.read(measured / "measure", Quality)
    listed = next(each for each in quality if each.hash_quality == max(each.hash_quality for each in quality))
    entry = (f"pdq:{listed.hash}",)
    assert judged(blocklist=entry)[0]["dropped/blocked"] >= 1
    folder = tmp_path / "measure"
    shutil.copytree(measured / "measure", folder)
    tables.write(folder, Quality, [dataclasses.replace(each, hash_quality=49) for each in quality])
    assert "dropped/blocked" not in judged({"measured": folder}, blocklist=entry)[0]


def test_two_runs_leave_the_same_bytes(judged, tmp_path):
    def left():
        judged()
        return {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    first = left()
    assert set(first) == {"verdict.jsonl", "balance.jsonl", "suggestion.jsonl", "ruling.jsonl"}
    assert left() == first


def test_suggestions_are_written_and_never_followed(judged, tmp_path):
    before = judged()[1]
    rows = {row.id: row for row in tables.read(tmp_path / "out", Suggestion)}
    assert rows["min_sharpness"].current == 4.0
    assert rows["min_entropy"].current is None
    assert rows["min_aesthetic"].suggested is None
    assert any(row.drops_then != row.drops_now for row in rows.values())
    suggested = {setting: row.suggested for setting, row in rows.items() if row.suggested is not None}
    suggested["min_side"] = int(suggested["min_side"])
    report, followed = judged(**suggested)
    assert followed != before
    dropped = {why for why in followed.values() if "/" not in why}
    again = {row.id: row for row in tables.read(tmp_path / "out", Suggestion)}
    assert {"blurred", "broken"} <= dropped
    assert report["suggested"] == len(suggested)
    assert {id: row.suggested for id, row in again.items()} == {id: row.suggested for id, row in rows.items()}


def test_the_spread_over_sources_is_reported(judged, measured, tmp_path):
    report, _ = judged()
    rows = tables.read(tmp_path / "out", Balance)
    assert {row.value: row.frames for row in rows if row.kind == "site"} == {"sample.test": 107}
    assert report["site/largest_share"] == 1.0
    assert report["page/thin"] == sum(row.thin for row in rows if row.kind == "page") > 0
    nobody = next(row for row in rows if row.kind == "licence" and not row.value)
    assert (nobody.frames > 0, nobody.kept, nobody.thin) == (True, 0, True)


def test_the_spread_over_licences_is_that_of_the_word_that_counts(judged, measured, tmp_path):
    folder = tmp_path / "crawl"
    shutil.copytree(measured / "crawl", folder)
    own = Evidence(where="sidecar", raw="own", scope="picture")
    said = [
        dataclasses.replace(each, licence="", licence_evidence=(*each.licence_evidence, own))
        for each in tables.read(folder, Item)
    ]
    tables.write(folder, Item, said)
    judged({"crawled": folder}, policy=POLICIES["own"])
    spread = {row.value: row.kept for row in tables.read(tmp_path / "out", Balance) if row.kind == "licence"}
    assert spread == {"LicenseRef-own": 102}


def test_lookalikes_need_embeddings(judged, measured, tmp_path):
    with pytest.raises(ConfigError, match=r"^clean\.likeness: measure left no embeddings .* embedding=clip"):
        judged(likeness=0.9)
    folder = tmp_path / "measure"
    shutil.copytree(measured / "measure", folder)
    ids = [each.id for each in tables.read(folder, Quality)]
    apart = torch.eye(len(ids) + 1)[: len(ids)]
    _, before = judged()
    kept = next(
        id for id in ids if id not in {row.id for row in tables.read(tmp_path / "out", Verdict) if not row.keep}
    )
    other = next(row.id for row in tables.read(tmp_path / "out", Verdict) if row.keep and row.id != kept)
    apart[ids.index(other)] = apart[ids.index(kept)] + 0.1 * apart[ids.index(other)]
    tensors.write(folder, "embedding", dict(zip(ids, apart, strict=True)), digits=1)
    report, gone = judged({"measured": folder}, likeness=0.99)
    assert report["dropped/lookalike"] == 1
    assert len(gone) == len(before) + 1
    (row,) = (row for row in tables.read(tmp_path / "out", Verdict) if row.reason == "lookalike")
    assert {row.id, row.twin} == {kept, other}


def test_another_policy_decides_again_over_the_same_crawl(judged, tmp_path, caplog):
    caplog.set_level("INFO")
    kept, rulings = {}, {}
    for name in ("licensed", "eu_tdm", "research"):
        kept[name] = judged(policy=POLICIES[name], min_sharpness=0.0)[0]["kept"]
        (rulings[name],) = tables.read(tmp_path / "out", Ruling)
    assert kept["licensed"] < kept["eu_tdm"] < kept["research"]
    assert {name: ruling.policy for name, ruling in rulings.items()} == {name: name for name in kept}
    assert {ruling.id for ruling in rulings.values()} == {rights.digest(POLICIES[name]) for name in kept}
    assert {ruling.consent_on for ruling in rulings.values()} == {CONFIG.consent_on.isoformat()}
    assert "by the policy research, for a use that is not commercial, not published" in caplog.text


def test_a_policy_that_refuses_everything_says_which_rule_refused_how_many(judged):
    with pytest.raises(
        TableError, match=r"none of 107 frames stays \(106 licence unknown, 1 broken\); loosen .*conf/policy"
    ):
        judged(policy=POLICIES["own"])


def test_nothing_kept_is_an_error_with_the_reasons(judged):
    with pytest.raises(
        TableError, match=r"clean: none of 107 frames stays \(\d+ small, .*1 broken, .*loosen conf/clean"
    ):
        judged(min_side=5000)


def test_of_files_of_ones_own_the_message_names_where_their_rights_are_stated(judged, measured, tmp_path):
    folder = tmp_path / "crawl"
    shutil.copytree(measured / "crawl", folder)
    items = tables.read(folder, Item)
    theirs = {each.id for each in items[:20]}
    tables.write(folder, Item, [dataclasses.replace(each, page="") if each.id in theirs else each for each in items])
    with pytest.raises(
        TableError, match=rf"state the licence of the \d+ files of your own in {tmp_path}/own/rights\.yaml"
    ):
        judged({"crawled": folder}, policy=POLICIES["own"])
