import hashlib
import logging
from functools import partial

import numpy as np
import pytest

from stages import look, shards, tables
from stages.errors import TableError
from stages.images import decode, encode_png
from stages.records import Frame, Generation, Item, Redaction, Sample, Verdict


def coloured(*colour, height=20, width=30):
    return np.full((height, width, 3), colour, dtype=np.uint8)


RED, BLUE = (encode_png(coloured(*colour)) for colour in ((255, 0, 0), (0, 0, 255)))


def filled(folder, contents, make, row):
    places = shards.write(folder, {hashlib.sha256(each).hexdigest(): each for each in contents}, digits=1)
    tables.write(folder, row, [make(id, place) for id, place in places.items()])
    return folder


def item(id, place):
    values = dict.fromkeys(("url", "page", "alt", "title", "author", "licence", "consent"), "")
    return Item(id=id, kind="image", licence_evidence=(), signals=(), credit="", group="", place=place, **values)


def sample(id, place):
    values = {"variant": 0, "role": "prior", "split": "train", "width": 3, "height": 2}
    values |= {"source_width": 3, "source_height": 2, "crop_left": 0, "crop_top": 0, "digest": "", "weight": 1.0}
    return Sample(id=id, frame=id, text="", group=id, place=place, **values)


def still(id, place, store="frames"):
    return Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store=store, place=place)


def redaction(id, place):
    return Redaction(id=id, regions=1, place=place)


def generation(id, place):
    return Generation(id=id, arm="base", prompt="", role="prior", seed=7, place=place)


MAKERS = {Item: item, Frame: still, Redaction: redaction, Sample: sample, Generation: generation}


def test_these_tests_see_every_table_that_owns_pictures():
    assert set(look.TABLES) == set(MAKERS)


@pytest.mark.parametrize("row", look.TABLES)
def test_the_pictures_of_every_such_table_are_found(tmp_path, row):
    filled(tmp_path, [RED, BLUE], MAKERS[row], row)
    assert {content for _, content in look.pictures(tmp_path)} == {RED, BLUE}


def test_a_generated_picture_is_named_by_arm_and_seed(tmp_path):
    filled(tmp_path, [RED], MAKERS[Generation], Generation)
    assert [name for name, _ in look.pictures(tmp_path)] == [f"base-7-{hashlib.sha256(RED).hexdigest()[:8]}"]


def test_a_frame_whose_bytes_are_crawls_is_not_of_this_folder(tmp_path):
    filled(tmp_path, [RED], partial(still, store="crawl"), Frame)
    assert list(look.pictures(tmp_path)) == []


def test_a_folder_without_pictures_is_an_error_that_names_those_that_have_some(tmp_path):
    with pytest.raises(
        TableError, match="holds no pictures; look at data/crawl, frames, clean, anonymise, prepare or generate"
    ):
        list(look.pictures(tmp_path))


def test_a_sheet_shows_every_picture_whole_and_on_white():
    page = look.sheet([coloured(255, 0, 0), coloured(0, 0, 255, height=30, width=15)])
    assert page.shape == (look.CELL + 4, 2 * (look.CELL + 4), 3)
    reds, blues = (np.all(page == colour, axis=-1) for colour in ((255, 0, 0), (0, 0, 255)))
    assert reds.sum() == look.CELL * round(look.CELL * 20 / 30)
    assert blues.sum() == look.CELL * look.CELL // 2
    assert (reds | blues | np.all(page == 255, axis=-1)).all()


@pytest.mark.parametrize(("count", "across", "down"), [(1, 1, 1), (12, 12, 1), (13, 12, 2), (25, 12, 3)])
def test_a_sheet_has_as_many_rows_as_it_needs(count, across, down):
    page = look.sheet([coloured(0, 0, 0, height=8, width=8)] * count)
    assert page.shape == (down * (look.CELL + 4), across * (look.CELL + 4), 3)
    assert np.all(page == 0, axis=-1).sum() == count * look.CELL**2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 1000), (1000, 1), (3, 700)])
def test_a_line_stays_visible(height, width):
    assert (look.sheet([coloured(0, 0, 0, height=height, width=width)]) == 0).any()


def test_main_leaves_a_file_for_each_picture_and_one_sheet(tmp_path):
    filled(tmp_path / "data", [RED, BLUE], item, Item)
    before = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    assert look.main([str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 0
    names = {f"{hashlib.sha256(each).hexdigest()}.png" for each in (RED, BLUE)}
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*names, "sheet.png"}
    assert decode((tmp_path / "out" / f"{hashlib.sha256(RED).hexdigest()}.png").read_bytes())[0, 0].tolist() == [
        255,
        0,
        0,
    ]
    assert {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


def test_main_passes_over_what_it_cannot_decode_and_says_so(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    filled(tmp_path / "data", [RED, b"a video"], item, Item)
    assert look.main([str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 0
    assert f"{hashlib.sha256(b'a video').hexdigest()}: not a picture of a known format" in caplog.messages
    assert capsys.readouterr().out.startswith("1 picture in ")


@pytest.mark.parametrize("contents", [[], [b"a video"]])
def test_main_says_when_there_is_nothing_to_look_at(tmp_path, caplog, contents):
    filled(tmp_path / "data", contents, item, Item)
    assert look.main([str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 1
    assert "has no picture that can be decoded" in caplog.messages[-1]
    assert not (tmp_path / "out").exists()


def test_main_of_a_folder_that_is_none_is_one_message(tmp_path, caplog):
    assert look.main([str(tmp_path / "none")]) == 1
    assert caplog.messages == [
        f"{tmp_path / 'none'}: holds no pictures; look at data/crawl, frames, clean, anonymise, prepare or generate"
    ]


def cleaned(root, verdicts):
    """What clean, frames and crawl leave of pictures of one colour each; ``verdicts`` are reason and twin by grey value."""
    contents = {grey: encode_png(coloured(grey, grey, grey)) for grey in verdicts} | {0: b"no picture"}
    ids = {grey: hashlib.sha256(content).hexdigest() for grey, content in contents.items()}
    stills = {}
    for store, values in (
        ("crawl", [grey for grey in contents if grey % 2]),
        ("frames", [grey for grey in contents if not grey % 2]),
    ):
        places = shards.write(root / store, {ids[grey]: contents[grey] for grey in values}, digits=1)
        stills |= {id: still(id, place, store=store) for id, place in places.items()}
    tables.write(root / "frames", Frame, stills.values())
    rows = [
        Verdict(id=ids[grey], keep=not reason, reason=reason, twin=ids.get(twin, ""))
        for grey, (reason, twin) in verdicts.items()
    ]
    tables.write(root / "clean", Verdict, rows)
    return root / "clean", ids


def test_what_clean_left_is_shown_by_reason_and_twins_follow_their_best(tmp_path):
    folder, ids = cleaned(
        tmp_path, {0: ("broken", ""), 50: ("", ""), 61: ("", ""), 90: ("twin", 61), 101: ("twin", 50)}
    )
    found = {reason: list(those) for reason, those in look.judged(folder).items()}
    assert {reason: len(those) for reason, those in found.items()} == {"broken": 1, "kept": 2, "twin": 4}
    groups = sorted([(ids[61], ids[90]), (ids[50], ids[101])])
    labels = [label for best, twin in groups for label in (f"{best[:8]} stays", f"{twin[:8]} twin")]
    assert [label for label, _ in found["twin"]] == labels
    greys = {ids[grey][:8]: grey for grey in ids}
    for label, content in found["twin"]:
        assert decode(content)[0, 0, 0] == greys[label[:8]]


def test_a_copy_of_a_refused_picture_follows_that_one(tmp_path):
    folder, ids = cleaned(tmp_path, {51: ("opted out", ""), 60: ("twin of opted out", 51)})
    labels = [label for label, _ in look.judged(folder)["twin of opted out"]]
    assert labels == [f"{ids[51][:8]} refused", f"{ids[60][:8]} twin"]


def test_main_of_clean_leaves_one_sheet_for_each_reason(tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    folder, ids = cleaned(tmp_path, {0: ("broken", ""), 51: ("", ""), 60: ("licence unknown", "")})
    assert look.main([str(folder), "--out", str(tmp_path / "out")]) == 0
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"sheet-broken.png", "sheet-kept.png", "sheet-licence-unknown.png"}
    page = decode((tmp_path / "out" / "sheet-kept.png").read_bytes())
    assert page.shape == (look.CELL + 4 + look.LABEL, look.CELL + 4, 3)
    assert (page[:80, :100] == 51).all()
    assert (page[look.CELL :] < 128).any()
    assert f"{ids[0][:8]}: not a picture of a known format" in caplog.messages
    assert f"kept: 1 on {tmp_path / 'out' / 'sheet-kept.png'}" in capsys.readouterr().out.splitlines()


def test_a_sheet_of_one_reason_has_no_more_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(look, "MOST", 2)
    folder, ids = cleaned(tmp_path, dict.fromkeys((11, 22, 33), ("", "")))
    assert [label for label, _ in look.judged(folder)["kept"]] == sorted(ids[grey][:8] for grey in (11, 22, 33))[:2]


def test_labels_stand_below_their_pictures_and_inside_their_cells():
    page = look.sheet([coloured(255, 0, 0, height=8, width=8)] * 2, ["01234567 stays", ""])
    ink = np.argwhere((page < 200).all(axis=-1))
    assert ink[:, 0].min() >= look.CELL
    assert ink[:, 1].max() < look.CELL + 4


def test_clean_without_frames_beside_it_is_one_message(tmp_path, caplog):
    tables.write(tmp_path / "clean", Verdict, [])
    assert look.main([str(tmp_path / "clean"), "--out", str(tmp_path / "out")]) == 1
    assert caplog.messages == [f"{tmp_path / 'frames' / 'frame.jsonl'}: there is no such table; `dvc repro` makes it"]
