from stages.evaluate.report.confusions import tables
from stages.records import Confusion

COUNTS = {
    ("base", 0, 0): 4,
    ("base", 1, 2): 5,
    ("adapter", 1, 1): 3,
    ("adapter", 1, 3): 2,
    ("adapter", 0, 0): 4,
    ("step-00000009", 0, 2): 9,
}
NAMES = ("zero", "one", "two", "nine")


def rows():
    return [
        Confusion(id=f"{arm} {asked:03} {seen:03}", arm=arm, asked=NAMES[asked], seen=NAMES[seen], count=count)
        for (arm, asked, seen), count in COUNTS.items()
    ]


def test_base_and_chosen_arm_have_a_table_each_of_the_same_classes_in_the_judges_order():
    base, chosen = tables(rows(), "adapter")
    assert (base.arm, chosen.arm) == ("base", "adapter")
    assert base.seen == chosen.seen
    assert list(base.seen)[:2] == ["zero", "one"]
    assert set(base.seen) == set(NAMES)


def test_what_did_not_occur_is_0():
    base, chosen = (
        {asked: dict(zip(each.seen, counts, strict=True)) for asked, counts in each.rows}
        for each in tables(rows(), "adapter")
    )
    assert base == {
        "zero": {"zero": 4, "one": 0, "two": 0, "nine": 0},
        "one": {"zero": 0, "one": 0, "two": 5, "nine": 0},
    }
    assert chosen["one"] == {"zero": 0, "one": 3, "two": 0, "nine": 2}


def test_without_a_judge_that_knows_classes_there_is_none():
    assert tables([], "adapter") == []
