"""The whole stage on the sample sites and on folders: rows, bytes, rights, and when it gives up."""

import hashlib
import sys
import tracemalloc
from types import SimpleNamespace

import pytest

from stages import shards, tables
from stages.crawl import embedded, site, stage
from stages.crawl.sources import Found
from stages.crawl.sources.folder import Config as Folder
from stages.crawl.stage import Config, items, run
from stages.errors import ConfigError, SourceError
from stages.records import Consent, Evidence, Failure, Item, Mask, Request, Signal
from stages.shards import Place

HOME = f"http://{site.HOST}"
PLACE = Place(shard="shard-0.tar", offset=512, size=1)


@pytest.fixture(scope="session")
def config(manners):
    """The stage's settings; give others to change them."""

    def make(**others):
        sample = {
            "name": "sample",
            "specimens": "photographs",
            "depth": 2,
            "max_pages": 100,
            "max_items": 1000,
            "limits": {},
        }
        values = {"sources": {"sample": sample}, "manners": manners(), "fresh_hours": 1.0, "follow_requests": False}
        return Config(**(values | {"max_failures": 0.2, "shard_digits": 1} | others))

    return make


@pytest.fixture(scope="module")
def sample_crawl(tmp_path_factory, config):
    """What the stage leaves of the sample site, and its report."""
    out = tmp_path_factory.mktemp("sample") / "crawl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("cache")))
        return out, run(config(), own=out, out=out)


@pytest.fixture(scope="module")
def by_path(sample_crawl):
    """The items of the sample site by path."""
    return {item.url.removeprefix(HOME): item for item in tables.read(sample_crawl[0], Item)}


@pytest.fixture
def own(tmp_path):
    """Write files of one's own; gives their folder."""

    def write(**files):
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / f"{name}.jpg").write_bytes(content)
        return folder

    return write


NOAI = Signal(layer="html", kind="meta robots", raw="noai", verdict="deny", category="train-any", scope="page")
LIMITS = {"max_total": 10**9, "max_ratio": 100, "max_entries": 1000}
FOLDER = {"sources": {"folder": {"name": "folder", "path": ".", **LIMITS}}}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def found(**others):
    values = {"url": "http://a.test/a.jpg", "page": "http://a.test/", "kind": "image", "alt": "", "title": ""}
    values |= {
        "author": "",
        "licence_evidence": (),
        "signals": (),
        "credit": "",
        "consent": "",
        "group": "",
        "body": b"picture",
    }
    return Found(**(values | others))


def said(*statements, scope="picture"):
    return tuple(Evidence(where="json-ld", raw=raw, scope=scope) for raw in statements)


def only(*brought):
    digest = hashlib.sha256(b"picture").hexdigest()
    (item,) = items({digest: list(brought)}, {digest: embedded.read(brought[0].body)}, {digest: PLACE})
    return item


def xmp(attributes):
    """A file that holds nothing but an XMP packet."""
    names = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cc="http://creativecommons.org/ns#"'
    names += ' xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    return f"<rdf:RDF {names}><rdf:Description {attributes}/></rdf:RDF>".encode()


def test_requests_of_the_round_before_reach_the_sources_when_asked_for(config, tmp_path):
    request = Request(id="word=nine", words=("nine",), site="", policy="licensed", count=4)
    tables.write(tmp_path / "own" / "next", Request, [request])
    starved = {
        "name": "sample",
        "specimens": "digits",
        "depth": 1,
        "max_pages": 3,
        "max_items": 14,
        "limits": {"nine": 3},
    }
    count = {
        follow: run(
            config(sources={"sample": starved}, follow_requests=follow, max_failures=0.5),
            own=tmp_path / "own",
            out=tmp_path / str(follow),
        )["items"]
        for follow in (False, True)
    }
    assert count == {False: 3, True: 7}


def test_the_report_of_the_sample_site_is_exact(sample_crawl):
    out, report = sample_crawl
    size = sum(item.place.size for item in tables.read(out, Item))
    assert report == {"items": 105, "videos": 1, "bytes": size, "forbidden": 1, "failed": 0}


def test_every_items_bytes_lie_where_its_row_says_under_their_digest(sample_crawl, photographs):
    out, _ = sample_crawl
    for item in tables.read(out, Item):
        body = shards.read(out, item.place)
        assert hashlib.sha256(body).hexdigest() == item.id
        assert body == photographs[item.url.removeprefix(HOME)].body


def test_the_forbidden_page_is_a_row_with_its_reason(sample_crawl):
    (failure,) = tables.read(sample_crawl[0], Failure)
    assert (failure.what, failure.reason) == (f"{HOME}/private/index.html", "robots.txt forbids it")
    assert failure.id == hashlib.sha256(failure.what.encode()).hexdigest()


def test_an_opt_out_is_recorded_raw(by_path):
    evidence = Signal(
        layer="html", kind="meta robots", raw="noai, noimageai", verdict="deny", category="train-any", scope="page"
    )
    assert by_path["/noai/retina.jpg"].signals == (evidence,)
    denied = {
        path: {(each.kind, each.layer, each.category) for each in item.signals if each.verdict == "deny"}
        for path, item in by_path.items()
    }
    assert {path: kinds for path, kinds in denied.items() if kinds} == {
        "/noai/retina.jpg": {("meta robots", "html", "train-any")},
        "/signal/coffee.jpg": {("content-signal", "site", "train-any")},
        "/usage/rocket.jpg": {("content-usage", "http", "train-generative")},
        "/reserved/coins.jpg": {("tdmrep", "site", "tdm")},
    }


def test_a_non_commercial_licence_is_recorded(by_path):
    item = by_path["/shop/cat.jpg"]
    assert item.licence == "CC-BY-NC-4.0"
    assert item.licence_evidence == (Evidence(where="rel=license", raw=site.NON_COMMERCIAL, scope="picture"),)


def test_a_picture_of_which_nothing_is_said_has_an_unknown_licence(by_path):
    item = by_path["/found/tissue.jpg"]
    assert (item.licence, item.licence_evidence, item.author) == ("", (), "")
    assert [path for path, item in by_path.items() if not item.licence] == ["/found/tissue.jpg"]


def test_json_ld_figures_and_pages_all_state_licence_and_author(by_path):
    star, cat, suit = (
        by_path[f"/{site.SUBJECT}/01-1.jpg"],
        by_path["/chelsea/1-1.jpg"],
        by_path["/astronaut/suit-1.jpg"],
    )
    assert (star.licence, star.author, star.title) == ("CC-PDM-1.0", "NASA", "Deep field")
    assert (cat.licence, cat.author, cat.alt) == ("CC0-1.0", "Stefan van der Walt", "a photo of a cat")
    assert (suit.licence, suit.author, suit.title) == ("CC-PDM-1.0", "NASA", "The astronaut")
    assert [item.licence_evidence[0].where for item in (star, cat, suit)] == ["json-ld", "rel=license", "rel=license"]
    assert suit.licence_evidence[0].scope == "page"


def test_the_video_has_its_kind_words_and_licence(by_path):
    film = by_path["/film/retina.mp4"]
    assert (film.kind, film.alt, film.licence) == ("video", "a photo of a retina", "CC0-1.0")
    assert film.page == f"{HOME}/film/index.html"


def test_the_page_that_answered_500_first_is_there(by_path):
    assert {"/gravel/2-1.jpg", "/gravel/2-2.jpg", "/gravel/2-3.jpg"} <= set(by_path)


def test_another_crawl_without_the_journal_leaves_the_same_bytes(sample_crawl, config, tmp_path):
    run(config(), own=tmp_path, out=tmp_path / "again")
    assert files(tmp_path / "again") == files(sample_crawl[0])


def test_a_crawl_of_the_digits_leaves_their_words_and_licence(config, tmp_path):
    digits = {"name": "sample", "specimens": "digits", "depth": 1, "max_pages": 100, "max_items": 30, "limits": {}}
    assert run(config(sources={"sample": digits}), own=tmp_path, out=tmp_path / "out")["items"] == 30
    rows = tables.read(tmp_path / "out", Item)
    assert {row.licence for row in rows} == {"CC-BY-4.0"}
    assert {row.alt for row in rows} == {"a handwritten digit nine"}


def test_several_sources_are_brought_together(config, own, tmp_path):
    (tmp_path / "own" / "more").mkdir(parents=True)
    (tmp_path / "own" / "more" / "b.jpg").write_bytes(b"2")
    sources = {"b": {"name": "folder", "path": "more", **LIMITS}, "a": {"name": "folder", "path": ".", **LIMITS}}
    report = run(config(sources=sources), own=own(a=b"1"), out=tmp_path / "out")
    assert report["items"] == 2
    rows = {row.url for row in tables.read(tmp_path / "out", Item)}
    assert rows == {"file:a.jpg", "file:more/b.jpg"}  # the first source's name stands for equal bytes


def test_a_crawl_that_fails_leaves_what_the_one_before_brought(config, own, manners, tmp_path):
    run(config(**FOLDER), own=own(a=b"1"), out=tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(SourceError):
        run(config(**FOLDER, manners=manners(max_bytes=1)), own=own(b=b"2", c=b"too large"), out=tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_memory_does_not_grow_with_the_pictures(config, tmp_path):
    def peak(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.jpg").write_bytes(bytes([number]) * 1_000_000)
        tracemalloc.start()
        run(config(**FOLDER), own=folder, out=tmp_path / "out")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(30) < peak(3) + 2_000_000


def test_the_first_of_what_could_not_be_brought_is_said(config, own, tmp_path, caplog):
    folder = own(a=b"1", b=b"2")
    for number in range(5):
        (folder / f"words{number}.txt").write_text("alone")
    run(config(**FOLDER, max_failures=1.0), own=folder, out=tmp_path / "out")
    assert [message for message in caplog.messages if "words" in message] == [
        f"crawl: file:words{number}.txt: a caption without its picture" for number in range(3)
    ]
    assert "crawl: and 2 more like these, in failure.jsonl" in caplog.messages


def test_nothing_brought_is_an_error_with_the_sources_names(config, own, tmp_path):
    with pytest.raises(SourceError, match="crawl: folder brought no picture"):
        run(config(**FOLDER), own=own(), out=tmp_path / "out")


def test_everything_failed_is_an_error(config, own, manners, tmp_path):
    with pytest.raises(SourceError, match="brought no picture"):
        run(config(**FOLDER, manners=manners(max_bytes=1), max_failures=1.0), own=own(a=b"22"), out=tmp_path / "out")


def test_a_share_of_failures_just_met_is_allowed_and_one_above_is_not(config, own, manners, tmp_path):
    folder = own(a=b"1", b=b"2", c=b"3", d=b"4", e=b"too large")
    strict = {**FOLDER, "manners": manners(max_bytes=1)}
    report = run(config(**strict, max_failures=0.2), own=folder, out=tmp_path / "out")
    assert (report["items"], report["failed"]) == (4, 1)
    assert [row.what for row in tables.read(tmp_path / "out", Failure)] == ["file:e.jpg"]
    with pytest.raises(SourceError, match=r"crawl: 1 of 5 addresses failed.* first file:e.jpg: more than 1 bytes"):
        run(config(**strict, max_failures=0.19), own=folder, out=tmp_path / "out")


def test_what_robots_txt_forbids_is_no_failure(config, tmp_path):
    assert run(config(max_failures=0.0), own=tmp_path, out=tmp_path / "out")["forbidden"] == 1


def test_the_same_bytes_from_two_places_are_one_item_with_all_that_was_said():
    one = found(licence_evidence=said("CC-BY-4.0"), signals=said("noai"))
    other = found(url="http://b.test/b.jpg", licence_evidence=said("CC-BY-NC-4.0", "CC-BY-4.0"))
    item = only(one, other)
    assert (item.url, item.licence, item.signals) == ("http://a.test/a.jpg", "CC-BY-NC-4.0", said("noai"))
    assert item.licence_evidence == said("CC-BY-4.0", "CC-BY-NC-4.0")


def test_the_same_bytes_without_a_licence_elsewhere_have_none():
    assert only(found(licence_evidence=said("CC0-1.0")), found()).licence == ""


def test_what_is_said_of_the_picture_goes_before_what_is_said_of_the_page():
    both = said("CC-BY-4.0") + said("CC-BY-NC-4.0", scope="page")
    assert only(found(licence_evidence=both)).licence == "CC-BY-4.0"
    assert only(found(licence_evidence=both[1:])).licence == "CC-BY-NC-4.0"


def test_an_unknown_statement_makes_the_licence_unknown():
    assert only(found(licence_evidence=said("CC0-1.0", "All rights reserved"))).licence == ""


def test_what_the_file_says_is_about_the_picture_and_kept_beside_the_rest():
    body = xmp(
        'cc:license="CC BY-NC 4.0" plus:DataMining="DMI-PROHIBITED" photoshop:Credit="Agency" cc:attributionName="Ann"'
    )
    item = only(found(body=body, licence_evidence=said("CC0-1.0", scope="page"), signals=(NOAI,)))
    assert (item.licence, item.author, item.credit) == ("CC-BY-NC-4.0", "Ann", "Agency")
    assert [each.where for each in item.licence_evidence] == ["xmp cc:license", "json-ld"]
    assert [each.kind for each in item.signals] == ["meta robots", "plus:DataMining"]
    assert only(found(body=body, author="Bob", credit="Bob / X")).credit == "Bob / X"


def test_a_file_and_a_page_that_differ_count_by_the_strictest():
    body = xmp('cc:license="CC BY-NC 4.0"')
    assert only(found(body=body, licence_evidence=said("CC0-1.0"))).licence == "CC-BY-NC-4.0"
    assert only(found(body=body, licence_evidence=said("CC BY-ND 4.0"))).licence == ""


def test_the_consents_beside_the_pictures_become_a_table(config, own, tmp_path):
    folder = own(a=b"1")
    run(config(**FOLDER), own=folder, out=tmp_path / "out")
    assert tables.read(tmp_path / "out", Consent) == []
    (folder / "consent.yaml").write_text(
        "release-1: {subjects: [S-1], basis: model release, scope: [train], granted: 2026-01-01}"
    )
    run(config(**FOLDER), own=folder, out=tmp_path / "out")
    (record,) = tables.read(tmp_path / "out", Consent)
    assert (record.id, record.subjects, record.scope) == ("release-1", ("S-1",), ("train",))


def test_of_the_same_bytes_in_two_groups_the_first_by_name_counts():
    assert only(found(group="b"), found(), found(group="a")).group == "a"
    assert only(found()).group == ""


def test_consent_counts_only_where_every_source_states_the_same():
    assert only(found(consent="release-1"), found(consent="release-1")).consent == "release-1"
    assert only(found(consent="release-1"), found()).consent == ""


def test_a_wrong_value_of_the_last_source_is_said_before_the_first_brings_anything(own, monkeypatch):
    asked = []
    part = SimpleNamespace(Config=Folder, build=lambda config: lambda visit: asked.append(config) or iter(()))
    monkeypatch.setitem(sys.modules, "stages.crawl.sources.folder", part)
    sources = FOLDER["sources"] | {"last": {"name": "sample", "specimens": "paintings"}}
    with pytest.raises(ConfigError, match="paintings"):
        list(stage._collect(SimpleNamespace(sources=sources), None))
    assert asked == []


def test_a_mask_is_a_row_of_its_own_and_no_item(config, own, tmp_path):
    folder = own(cat=b"cat", dog=b"dog")
    (folder / "cat.mask.png").write_bytes(b"white")
    run(config(**FOLDER), own=folder, out=tmp_path / "out")
    (mask,) = tables.read(tmp_path / "out", Mask)
    items = tables.by_id(tmp_path / "out", Item)
    assert (len(items), items[mask.id].url) == (2, "file:cat.jpg")
    assert shards.read(tmp_path / "out", mask.place) == b"white"
