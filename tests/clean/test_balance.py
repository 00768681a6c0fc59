"""How the kept frames are spread, counted by site, page, licence and author."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stages.clean.balance import KINDS, balance, summary
from stages.records import Frame, Item, Verdict
from stages.shards import Place

PLACE = Place(shard="s", offset=0, size=1)


def item(id, *, url="https://a.test/1.jpg", page="", licence="CC0-1.0", author=""):
    return Item(
        id=id, url=url, page=page, kind="image", alt="", title="", author=author, credit="", licence=licence,
        licence_evidence=(), signals=(), consent="", group="", place=PLACE,
    )  # fmt: skip


def frame(id, of):
    return Frame(id=id, item=of, pts=0, time_base="", time_ms=0.0, store="crawl", place=PLACE)


def verdict(id, *, keep=True):
    return Verdict(id=id, keep=keep, reason="" if keep else "small", twin="")


def counted(items, keeps, thin=2):
    frames = [frame(each.id, each.id) for each in items]
    verdicts = [verdict(each.id, keep=keep) for each, keep in zip(items, keeps, strict=True)]
    return balance(frames, {each.id: each for each in items}, verdicts, thin=thin)


def test_each_kind_counts_frames_and_those_that_stay():
    items = [
        item("1", page="https://a.test/x", author="Ann"),
        item("2", page="https://a.test/y", author="Ann"),
        item("3", url="https://b.test:8080/3.jpg", licence=""),
    ]
    rows = {row.id: (row.frames, row.kept, row.thin) for row in counted(items, [True, True, False])}
    assert rows == {
        "site a.test": (2, 2, False),
        "site b.test:8080": (1, 0, True),
        "page https://a.test/x": (1, 1, True),
        "page https://a.test/y": (1, 1, True),
        "page ": (1, 0, True),
        "licence CC0-1.0": (2, 2, False),
        "licence ": (1, 0, True),
        "author Ann": (2, 2, False),
        "author ": (1, 0, True),
    }


def test_all_stills_of_a_video_count_for_it():
    rows = balance(
        [frame("1", "v"), frame("2", "v")], {"v": item("v", author="Ann")}, [verdict("1"), verdict("2")], thin=0
    )
    assert next(row for row in rows if row.kind == "author").frames == 2


def test_the_summary_says_how_many_there_are_how_large_the_largest_and_how_many_are_thin():
    items = [item(str(n), url=f"https://{site}.test/") for n, site in enumerate("aaab")]
    assert summary(counted([*items, item("9", url="https://c.test/")], [True] * 4 + [False])) == {
        **{f"{kind}/{name}": value for kind in ("page", "licence", "author") for name, value in FEW.items()},
        "site/count": 2,
        "site/largest_share": 0.75,
        "site/thin": 2,
    }


FEW = {"count": 1, "largest_share": 1.0, "thin": 0}


def test_of_nothing_nothing_is_counted():
    assert set(summary([]).values()) == {0}
    assert {name.partition("/")[0] for name in summary([])} == set(KINDS)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), max_size=12))
def test_every_frame_is_counted_once_for_each_kind(made):
    items = [item(str(n), url=f"https://{site}.test/", author=author) for n, (site, author, _) in enumerate(made)]
    rows = counted(items, [keep for *_, keep in made])
    for kind in KINDS:
        assert sum(row.frames for row in rows if row.kind == kind) == len(made)
        assert sum(row.kept for row in rows if row.kind == kind) == sum(keep for *_, keep in made)
    found = Counter(author for _, author, _ in made)
    assert {row.value: row.frames for row in rows if row.kind == "author"} == found
