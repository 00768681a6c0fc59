import dataclasses
import json
import random
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from stages import records, tables
from stages.errors import TableError
from stages.records import Evidence, Item, Point, Score, Verdict
from stages.shards import Place

ROWS = [each for each in vars(records).values() if dataclasses.is_dataclass(each) and each is not Place]
TABLES = [each for each in ROWS if "id" in get_type_hints(each)]
ODD = 'a\u2028b\u0085c\r\nd\te"f\\ 猫 😀 e\u0301 \x00'


def verdict(id, **changes):
    return Verdict(**({"id": id, "keep": True, "reason": "", "twin": ""} | changes))


def item(**changes):
    values = {
        "id": "0a",
        "url": "https://a.test/1.jpg",
        "page": "",
        "kind": "image",
        "alt": ODD,
        "title": "",
        "author": "",
        "licence": "CC0-1.0",
        "licence_evidence": (Evidence(where="meta", raw=ODD, scope="page"),),
        "signals": (),
        "credit": "",
        "consent": "",
        "group": "",
        "place": Place(shard="shard-0.tar", offset=512, size=3),
    }
    return Item(**(values | changes))


def test_these_tests_see_every_row():
    assert len(ROWS) == Path(records.__file__).read_text().count("@dataclass") >= 14
    assert {each.__name__ for each in ROWS} - {each.__name__ for each in TABLES} == {
        "Evidence",
        "Signal",
        "Region",
    }


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_frozen_keyword_only_and_without_defaults(row):
    assert row.__dataclass_params__.frozen
    assert all(
        each.kw_only and each.default is each.default_factory is dataclasses.MISSING for each in dataclasses.fields(row)
    )
    assert not hasattr(row, "__dict__") or "__slots__" in vars(row)


@pytest.mark.parametrize("row", TABLES)
def test_no_two_tables_share_a_file(row, tmp_path):
    assert [each for each in TABLES if tables.path(tmp_path, each) == tables.path(tmp_path, row)] == [row]
    assert tables.path(tmp_path, row) == tmp_path / f"{row.__name__.lower()}.jsonl"


@pytest.mark.parametrize("row", TABLES)
def test_every_table_comes_back_as_it_was_written(row, tmp_path):
    made = [
        TypeAdapter(row).validate_python(
            {name: sample(hint) for name, hint in get_type_hints(row).items()} | {"id": id}
        )
        for id in ("0b", "0a")
    ]
    tables.write(tmp_path, row, made)
    assert tables.read(tmp_path, row) == made[::-1]


def sample(hint):
    """Some value that fits ``hint``."""
    simple = {str: "x", int: 3, float: 0.5, bool: True}
    if hint in simple:
        return simple[hint]
    if dataclasses.is_dataclass(hint):
        return hint(**{name: sample(each) for name, each in get_type_hints(hint).items()})
    arguments = hint.__args__
    if getattr(hint, "__origin__", None) is tuple:
        return tuple(sample(each) for each in arguments if each is not Ellipsis)
    if getattr(hint, "__origin__", None) is Mapping:
        return {sample(arguments[0]): sample(arguments[1])}
    return arguments[0] if isinstance(arguments[0], str) else sample(arguments[0])


def test_odd_letters_and_line_breaks_stay_within_their_row(tmp_path):
    tables.write(tmp_path, Item, [item(), item(id="0b")])
    assert tables.read(tmp_path, Item) == [item(), item(id="0b")]
    assert tables.path(tmp_path, Item).read_bytes().count(b"\n") == 2


def test_rows_are_sorted_and_their_keys_in_the_order_of_the_fields(tmp_path):
    tables.write(tmp_path, Verdict, [verdict("b"), verdict("a")])
    lines = tables.path(tmp_path, Verdict).read_text().splitlines()
    assert lines[0] == '{"id":"a","keep":true,"reason":"","twin":""}'
    assert [json.loads(line)["id"] for line in lines] == ["a", "b"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), unique=True, max_size=8), st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path_factory, ids, order):
    folder, shuffled = tmp_path_factory.mktemp("tables"), [verdict(id) for id in ids]
    tables.write(folder, Verdict, shuffled)
    before = tables.path(folder, Verdict).read_bytes()
    order.shuffle(shuffled)
    tables.write(folder, Verdict, shuffled)
    assert tables.path(folder, Verdict).read_bytes() == before
    assert tables.read(folder, Verdict) == sorted(shuffled, key=lambda row: row.id)


def test_floats_come_back_to_the_last_bit(tmp_path):
    drawn = [random.Random(7).uniform(-1, 1) * 10.0**power for power in range(-9, 9)]
    rows = [
        Point(id=f"{step:03}", step=step, loss=value, rate=5e-324, heldout_loss=None, prior_loss=1e308)
        for step, value in enumerate(drawn)
    ]
    tables.write(tmp_path, Point, rows)
    assert [row.loss for row in tables.read(tmp_path, Point)] == drawn


def test_an_empty_table_is_a_table(tmp_path):
    tables.write(tmp_path / "new", Verdict, [])
    assert tables.read(tmp_path / "new", Verdict) == []


def test_rows_can_be_had_one_at_a_time(tmp_path):
    tables.write(tmp_path, Verdict, [verdict(f"{number:06}") for number in range(60_000)])
    tracemalloc.start()
    count = sum(row.keep for row in tables.rows(tmp_path, Verdict))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 3_000_000  # a list of them takes 7 MB


def test_rows_can_be_had_by_their_ids(tmp_path):
    tables.write(tmp_path, Verdict, iter([verdict("b"), verdict("a")]))
    assert tables.by_id(tmp_path, Verdict) == {"a": verdict("a"), "b": verdict("b")}


def test_two_rows_of_one_id_are_refused_and_the_old_table_stays(tmp_path):
    tables.write(tmp_path, Verdict, [verdict("a")])
    with pytest.raises(TableError, match="two rows have the id b; ids must differ"):
        tables.write(tmp_path, Verdict, [verdict("b"), verdict("a"), verdict("b", keep=False)])
    assert tables.read(tmp_path, Verdict) == [verdict("a")]


def test_a_missing_table_says_who_makes_it(tmp_path):
    with pytest.raises(TableError, match=r"score.jsonl: there is no such table; `dvc repro` makes it"):
        tables.read(tmp_path, Score)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Invalid JSON"),
        ("", "Invalid JSON"),
        ("[]", "Input should be"),
        ('{"id":"b","keep":true,"reason":""}', "twin: Field required"),
        ('{"id":"b","keep":1,"reason":"","twin":""}', "keep: Input should be a valid boolean"),
        ('{"id":3,"keep":true,"reason":"","twin":""}', "id: Input should be a valid string"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, message):
    tables.write(tmp_path, Verdict, [verdict("a")])
    with tables.path(tmp_path, Verdict).open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(TableError, match=f"verdict.jsonl:2: .*{message}"):
        tables.read(tmp_path, Verdict)


def test_a_fault_deep_in_a_row_is_named_by_its_place(tmp_path):
    tables.write(tmp_path, Item, [item()])
    file = tables.path(tmp_path, Item)
    file.write_text(file.read_text().replace('"scope":"page"', '"scope":"site"'))
    with pytest.raises(TableError, match=r"item.jsonl:1: licence_evidence.0.scope: Input should be"):
        tables.read(tmp_path, Item)


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "new" / "a.txt"
    tables.replace(file, b"long content")
    tables.replace(file, b"short")
    assert file.read_bytes() == b"short"
    assert list(file.parent.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"):
        tables.replace(tmp_path / "a.txt", b"content")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]
