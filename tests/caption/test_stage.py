"""Words, roles and triggers; one caption for each kept frame, and what every captioner said."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import config as settings
from stages import shards, tables
from stages.caption import private
from stages.caption.stage import COUNTED, Config, caption, run
from stages.errors import TableError
from stages.images import encode_png
from stages.records import Caption, CaptionPart, Failure, Frame, Item, Redaction, Verdict
from stages.shards import Place

PLACE = Place(shard="s", offset=0, size=1)
PRIVATE = {
    "mail": "drop",
    "phone": "drop",
    "url": "drop",
    "handle": "drop",
    "names": "mask",
    "known": (),
    "region": "",
    "finder": None,
}
NOTHING = dict.fromkeys(COUNTED, 0)


def config(**others):
    values = {"captioner": {"name": "page", "titles": True}, "subject": "coins", "trigger": "", "max_words": 60}
    values |= {"prefix": "", "suffix": "", "max_tokens": 75, "tokenizer": "", "private": private.Config(**PRIVATE)}
    return Config(**(values | others))


def made(text, *, by="page", fits=lambda whole: True, **others):
    return caption("a", text, by, config(**others), fits=fits, counts=Counter())


@pytest.fixture
def captioned(tmp_path, item):
    """Run the stage on items of (alternative text, title, kept) by id; gives the report and the captions by id."""

    def write(items, *, texts="", said=(), pixels=None, redacted=None, withstood=(), **others):
        places = shards.write(
            tmp_path / "crawl", {id: encode_png(each) for id, each in (pixels or {}).items()}, digits=1
        )
        known = dict(said)
        rows = [item(id, alt=alt, title=title, **known.get(id, {})) for id, (alt, title, _) in items.items()]
        tables.write(tmp_path / "crawl", Item, rows)
        frames = [
            Frame(
                id=f"{id}-f",
                item=id,
                pts=0,
                time_base="",
                time_ms=0.0,
                store="crawl",
                place=places.get(id, PLACE),
            )
            for id in items
        ]
        tables.write(tmp_path / "frames", Frame, frames)
        verdicts = [Verdict(id=f"{id}-f", keep=kept, reason="", twin="") for id, (_, _, kept) in items.items()]
        tables.write(tmp_path / "clean", Verdict, verdicts)
        hidden = {f"{id}-f": encode_png(each) for id, each in (redacted or {}).items()}
        places = shards.write(tmp_path / "anonymise", hidden, digits=1)
        tables.write(
            tmp_path / "anonymise", Redaction, [Redaction(id=id, regions=1, place=places[id]) for id in hidden]
        )
        gone = [Failure(id=f"{id}-f", what=id, reason="faces still found") for id in withstood]
        tables.write(tmp_path / "anonymise", Failure, gone)
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / "captions.yaml").write_text(texts)
        names = {"own": "own", "crawled": "crawl", "frames": "frames", "cleaned": "clean", "anonymised": "anonymise"}
        folders = {name: tmp_path / folder for name, folder in names.items()}
        report = run(config(**others), **folders, out=tmp_path / "out")
        return report, tables.by_id(tmp_path / "out", Caption)

    return write


@pytest.fixture
def tagger(weights, classifier_folder):
    return {"name": "tagger", "model": weights(classifier_folder), "several": False, "threshold": 0.1, "most": 3}


SOME = {"a": ("a photo of coins", "Coins", True), "b": ("a cat", "Cats", True), "c": ("", "Greek coins", True), "d": ("", "", True)}  # fmt: skip


def test_every_kept_frame_gets_a_caption_by_its_own_id(captioned):
    _, rows = captioned(SOME | {"e": ("coins", "", False)})
    assert sorted(rows) == ["a-f", "b-f", "c-f", "d-f"]


def test_the_report_counts_roles_and_empty_captions(captioned):
    report, rows = captioned(SOME)
    assert report == {"subject": 2, "prior": 2, "empty": 1} | NOTHING
    assert {id for id, row in rows.items() if row.role == "subject"} == {"a-f", "c-f"}


def test_every_caption_says_whose_words_it_holds(captioned):
    _, rows = captioned(SOME, texts='"b": a grey cat\n')
    assert [rows[f"{id}-f"].by for id in "abcd"] == ["page", "hand", "page", ""]


def test_without_titles_only_the_alternative_text_counts(captioned):
    _, rows = captioned(SOME, captioner={"name": "page", "titles": False})
    assert [rows[f"{id}-f"].text for id in "abcd"] == ["a photo of coins", "a cat", "", ""]


def test_no_caption_about_the_subject_is_an_error_with_a_remedy(captioned):
    with pytest.raises(TableError, match=r"none of 4 captions holds 'dog'; .* common are: coins 2, greek 1, photo 1$"):
        captioned(SOME, subject="dog")


def test_captions_that_are_only_names_of_files_are_counted_and_said(captioned, caplog):
    items = {
        "a": ("", "my coins 1", True),
        "b": ("two coins", "b", True),
        "c": ("", "a title", True),
        "d": ("", "my coins", True),
    }
    said = {"a": {"url": "file:x/my_coins_1.jpg"}, "b": {"url": "file:b.jpg"}, "c": {"url": "file:c.jpg"}}
    report, rows = captioned(items, said=said.items())
    assert report["file_name"] == 1
    assert rows["a-f"].text == "my coins 1"
    assert "caption: 1 of 4 captions are only the names of files; data/own/README.md says how" in caplog.text
    caplog.clear()
    report, _ = captioned(items, said=said.items(), texts='"file:x/*": some coins\n')
    assert report["file_name"] == 0
    assert "names of files" not in caplog.text


def test_two_runs_leave_the_same_bytes(captioned, tmp_path):
    captioned(SOME)
    first = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    captioned(dict(reversed(SOME.items())))
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == first
    assert sorted(first) == ["caption.jsonl", "captionpart.jsonl"]


# Words written by hand


def test_words_written_by_hand_win_over_every_captioner_and_nobody_is_asked(captioned, tmp_path):
    report, rows = captioned(SOME, texts='"a": my coins\n"c-f": ""\n')
    assert (rows["a-f"].text, rows["c-f"].text, report["hand"]) == ("my coins", "", 2)
    assert {part.frame for part in tables.read(tmp_path / "out", CaptionPart)} == {"b-f", "d-f"}


def test_a_sidecar_is_by_hand_and_alternative_text_is_not(captioned):
    items = {"a": ("coins, mine", "A", True), "b": ("coins, theirs", "B", True)}
    _, rows = captioned(items, said={"a": {"page": "", "url": "file:a.png"}}.items())
    assert (rows["a-f"].by, rows["b-f"].by) == ("hand", "page")


def test_words_written_by_hand_are_not_censored(captioned):
    _, rows = captioned(SOME, texts='"a": coins of Dr. Ada Lovelace, ada@example.org\n')
    assert rows["a-f"].text == "coins of Dr. Ada Lovelace, ada@example.org"


def test_one_edited_caption_asks_no_model_again(captioned, tagger, photographs, monkeypatch):
    from stages.caption import transformer

    pixels = dict(zip("abc", photographs, strict=True))
    items = dict.fromkeys(pixels, ("", "", True))
    captioned(items, pixels=pixels, captioner=tagger, subject="")
    monkeypatch.setattr(transformer, "load", None)
    _, rows = captioned(items, pixels=pixels, captioner=tagger, subject="", texts='"b": a cup\n')
    assert rows["b-f"].text == "a cup"
    assert rows["a-f"].by.startswith("tagger sha256:")


# Captioners that see


def test_what_could_not_be_redacted_is_not_captioned(captioned):
    _, rows = captioned(SOME, withstood=("b",))
    assert set(rows) == {"a-f", "c-f", "d-f"}


def test_a_captioner_sees_the_redacted_pixels_where_there_are_such(
    captioned, tagger, photographs, tmp_path, monkeypatch
):
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    face, hidden, other = photographs
    captioned(
        {"a": ("", "", True), "b": ("", "", True)},
        pixels={"a": face, "b": other},
        redacted={"a": hidden},
        captioner=tagger,
        subject="",
    )
    seen = {file.name for file in (tmp_path / "cache").rglob("??/*")}
    assert seen == {hashlib.sha256(encode_png(each)).hexdigest() for each in (hidden, other)}


def test_a_captioner_that_needs_no_pixels_opens_no_shard(captioned, tmp_path):
    captioned(SOME)
    assert not list((tmp_path / "crawl").glob("*.tar"))


def test_all_that_an_ensemble_said_is_kept(captioned, tagger, photographs, tmp_path):
    members = {"page": {"name": "page", "titles": True}, "tags": tagger}
    ensemble = {"name": "ensemble", "captioners": members}
    _, rows = captioned({"a": ("a coin", "", True)}, pixels={"a": photographs[0]}, captioner=ensemble, subject="")
    parts = tables.read(tmp_path / "out", CaptionPart)
    assert [(part.id, part.frame, part.captioner) for part in parts] == [("a-f-page", "a-f", "page"), ("a-f-tags", "a-f", "tags")]  # fmt: skip
    assert all(part.score is not None for part in parts)
    assert rows["a-f"].text in {part.text for part in parts}
    assert parts[1].model in rows["a-f"].by or rows["a-f"].by == "page"


def test_a_chosen_caption_that_holds_nothing_usable_gives_way_to_the_next(captioned):
    members = {"bad": {"name": "template", "patterns": ["ada@example.org"]}, "good": {"name": "page", "titles": True}}
    _, rows = captioned(SOME, captioner={"name": "ensemble", "captioners": members})
    assert (rows["a-f"].text, rows["a-f"].by) == ("a photo of coins", "good")


# What may stand in a caption


@pytest.mark.parametrize(
    ("alt", "text", "counted"),
    [
        ("coins </s><pad>", "coins", {}),
        ("</s></s>", "", {"unusable": 1}),
        (" . ", "", {"unusable": 1}),
        ("coins coins coins coins", "coins", {"repeated": 1}),
        ("coins, ask ada@example.org", "coins, ask", {"private_mail": 1}),
        ("coins, photo by Ada Lovelace, see www.example.org", "coins, see", {"private_names": 1, "private_url": 1}),
    ],
)
def test_what_is_removed_is_counted_and_nowhere_kept(alt, text, counted, captioned, tmp_path):
    report, rows = captioned({"a": (alt, "", True)}, subject="")
    assert rows["a-f"].text == text
    assert report == {"subject": 1, "prior": 0, "empty": int(not text)} | NOTHING | counted
    kept = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    assert b"ada@" not in kept
    assert b"Ada" not in kept
    assert b"www" not in kept


def test_the_authors_name_does_not_stand_in_a_caption(captioned):
    items = {"a": ("coins of Ada Lovelace", "", True)}
    report, rows = captioned(items, said={"a": {"author": "Ada Lovelace"}}.items())
    assert (rows["a-f"].text, report["private_names"]) == ("coins of someone", 1)


def test_names_that_a_model_finds_are_masked(captioned, namer_folder, weights):
    finder = {"model": weights(namer_folder), "labels": ["PER"], "threshold": 0.0}  # it takes all for a name
    policy = settings.check(PRIVATE | {"finder": finder}, private.Config, where="test")
    report, rows = captioned({"a": ("coins", "", True)}, private=policy, subject="")
    assert (rows["a-f"].text, report["private_names"]) == ("someone", 1)


def test_where_names_may_stay_none_are_looked_for(captioned, weights):
    finder = {"model": weights("nowhere"), "labels": ["PER"], "threshold": 0.0}
    policy = settings.check(PRIVATE | {"finder": finder, "names": "keep"}, private.Config, where="test")
    _, rows = captioned({"a": ("coins of Dr. Ada", "", True)}, private=policy, subject="")
    assert rows["a-f"].text == "coins of Dr. Ada"


@pytest.mark.parametrize("piece", ["a", "a.", "coins ", "ada@", "\u202e", "<|"])
def test_alternative_text_of_a_megabyte_does_not_hold_up_the_stage(piece, captioned):
    report, rows = captioned({"a": (piece * (1_000_000 // len(piece)), "", True)}, subject="")
    assert len(rows["a-f"].text) <= 4000
    assert report["subject"] == 1


@pytest.mark.parametrize(
    ("words", "role"), [("two Coins", "subject"), ("COINS", "subject"), ("a coin", "prior"), ("", "prior")]
)
def test_the_subject_is_found_without_regard_to_case(words, role):
    assert made(words).role == role


def test_an_empty_subject_makes_all_the_subject():
    assert made("a cat", subject="").role == "subject"


def test_the_subject_counts_even_where_it_is_cut_off():
    row = made("a table with coins", max_words=2)
    assert (row.text, row.role) == ("a table", "subject")


def test_the_trigger_stands_before_the_subjects_captions_only():
    assert made("two coins", trigger="zxc").text == "zxc two coins"
    assert made("a cat", trigger="zxc").text == "a cat"


def test_prefix_and_suffix_stand_around_words_and_around_nothing_else():
    around = {"prefix": "photo of", "suffix": ", studio", "trigger": "zxc"}
    assert made("two coins", **around).text == "zxc photo of two coins, studio"
    assert made("a cat", **around).text == "photo of a cat, studio"
    assert made("a cat", suffix="at night").text == "a cat at night"
    assert made("", subject="", **around).text == "zxc"


def test_a_trigger_alone_has_no_space_behind_it():
    assert made("", subject="", trigger="zxc").text == "zxc"


def test_white_space_is_folded():
    assert made("  two\n\tcoins \u00a0 here ").text == "two coins here"


def test_a_long_caption_is_cut_after_the_most_words_and_the_trigger_is_not_counted():
    assert made("two coins on a table", max_words=3, trigger="zxc").text == "zxc two coins on"


def test_a_long_caption_is_cut_where_the_tokenizer_has_enough_and_that_is_counted(captioned, clip_folder):
    items = {"a": ("a photo of coins on the grass", "", True), "b": ("a cat", "", True)}
    limits = {"tokenizer": str(clip_folder), "max_tokens": 5, "trigger": "zxc"}
    report, rows = captioned(items, **limits)
    assert (rows["a-f"].text, rows["b-f"].text, report["cut"]) == ("zxc a photo of coins", "a cat", 1)


TEXTS = st.lists(st.sampled_from(["coins", "a", "cat,", "-"]), max_size=30).map(" ".join)


@given(TEXTS, st.integers(1, 9), st.integers(20, 60))
def test_a_caption_never_exceeds_its_limits_and_keeps_what_is_put_around_it(text, most, letters):
    around = {"prefix": "of", "suffix": "now", "trigger": "zxc"}
    row = made(text, fits=lambda whole: len(whole) <= letters, max_words=most, **around)
    assert len(row.text) <= letters
    assert len(row.text.split()) <= most + 3
    assert row.text in ("", "zxc") or row.text.endswith(" now")


@given(TEXTS)
def test_words_written_by_hand_stay_as_they_are_whatever_they_say(text):
    row = made(text, by="hand")
    assert (row.text, row.by) == (text, "hand")
