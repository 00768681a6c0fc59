"""Words, roles and triggers; one caption for each kept frame."""

import pytest

from stages import tables
from stages.caption.stage import Config, caption, run
from stages.errors import TableError
from stages.records import Caption, Frame, Item, Verdict
from stages.shards import Place

PLACE = Place(shard="s", offset=0, size=1)


def config(**others):
    values = {"captioner": {"name": "page", "titles": True}, "subject": "coins", "trigger": "", "max_words": 60}
    return Config(**(values | others))


@pytest.fixture
def captioned(tmp_path):
    """Run the stage on items of (alternative text, title, kept) by id; gives the report and the captions by id."""

    def write(items, **others):
        said = {"url": "file:a", "page": "", "kind": "image", "author": "", "licence": "CC0-1.0"}
        said |= {"licence_evidence": (), "signals": (), "credit": "", "consent": "", "place": PLACE}
        rows = [Item(id=id, alt=alt, title=title, **said) for id, (alt, title, _) in items.items()]
        tables.write(tmp_path / "crawl", Item, rows)
        frames = [
            Frame(id=f"{id}-f", item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=PLACE) for id in items
        ]
        tables.write(tmp_path / "frames", Frame, frames)
        verdicts = [Verdict(id=f"{id}-f", keep=kept, reason="", twin="") for id, (_, _, kept) in items.items()]
        tables.write(tmp_path / "clean", Verdict, verdicts)
        folders = {"crawled": tmp_path / "crawl", "frames": tmp_path / "frames", "cleaned": tmp_path / "clean"}
        report = run(config(**others), **folders, out=tmp_path / "out")
        return report, {row.id: row for row in tables.read(tmp_path / "out", Caption)}

    return write


SOME = {"a": ("a photo of coins", "Coins", True), "b": ("a cat", "Cats", True), "c": ("", "Greek coins", True), "d": ("", "", True)}  # fmt: skip


def test_every_kept_frame_gets_a_caption_by_its_own_id(captioned):
    _, rows = captioned(SOME | {"e": ("coins", "", False)})
    assert sorted(rows) == ["a-f", "b-f", "c-f", "d-f"]


def test_the_report_counts_roles_and_empty_captions(captioned):
    report, rows = captioned(SOME)
    assert report == {"subject": 2, "prior": 2, "empty": 1}
    assert {id for id, row in rows.items() if row.role == "subject"} == {"a-f", "c-f"}


def test_without_titles_only_the_alternative_text_counts(captioned):
    _, rows = captioned(SOME, captioner={"name": "page", "titles": False})
    assert [rows[f"{id}-f"].text for id in "abcd"] == ["a photo of coins", "a cat", "", ""]


def test_no_caption_about_the_subject_is_an_error_with_a_remedy(captioned):
    with pytest.raises(TableError, match=r"caption: none of 4 captions holds 'dog'; set caption.subject"):
        captioned(SOME, subject="dog")


def test_two_runs_leave_the_same_bytes(captioned, tmp_path):
    captioned(SOME)
    first = (tmp_path / "out" / "caption.jsonl").read_bytes()
    captioned(dict(reversed(SOME.items())))
    assert (tmp_path / "out" / "caption.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "role"), [("two Coins", "subject"), ("COINS", "subject"), ("a coin", "prior"), ("", "prior")]
)
def test_the_subject_is_found_without_regard_to_case(words, role):
    assert caption("a", words, config()).role == role


def test_an_empty_subject_makes_all_the_subject():
    assert caption("a", "a cat", config(subject="")).role == "subject"


def test_the_trigger_stands_before_the_subjects_captions_only():
    assert caption("a", "two coins", config(trigger="zxc")).text == "zxc two coins"
    assert caption("a", "a cat", config(trigger="zxc")).text == "a cat"


def test_a_trigger_alone_has_no_space_behind_it():
    assert caption("a", "", config(subject="", trigger="zxc")).text == "zxc"


def test_white_space_is_folded():
    assert caption("a", "  two\n\tcoins \u00a0 here ", config()).text == "two coins here"


def test_a_long_caption_is_cut_after_the_most_words_and_the_trigger_is_not_counted():
    assert caption("a", "two coins on a table", config(max_words=3, trigger="zxc")).text == "zxc two coins on"
