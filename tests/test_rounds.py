"""What goes from one round to the next, and what never goes back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import rounds, tables
from stages.prepare import splits
from stages.records import Heldout, Request, Sample, Weight
from stages.shards import Place


def sample(id, split):
    return Sample(
        id=f"{id}-00", frame=id, variant=0, text="", role="subject", split=split, group=id, width=8, height=8,
        source_width=8, source_height=8, crop_left=0, crop_top=0, digest="", weight=1.0,
        place=Place(shard="", offset=0, size=0),
    )  # fmt: skip


def request(id, count, words=("lying",)):
    return Request(id=id, words=words, site="", policy="licensed", count=count)


@pytest.fixture
def hand_over(tmp_path):
    """Hand over what a round left; gives the folder of one's own."""

    def over(requests=(), weights=(), samples=()):
        tables.write(tmp_path / "feedback", Request, requests)
        tables.write(tmp_path / "feedback", Weight, [Weight(id=id, weight=weight) for id, weight in weights])
        tables.write(tmp_path / "prepare", Sample, [sample(id, split) for id, split in samples])
        rounds.hand_over(tmp_path / "own", feedback=tmp_path / "feedback", prepared=tmp_path / "prepare")
        return tmp_path / "own"

    return over


def test_before_the_first_round_there_is_nothing(tmp_path):
    assert rounds.requests(tmp_path) == []
    assert rounds.weights(tmp_path) == {}
    assert rounds.heldout(tmp_path) == frozenset()


def test_what_is_handed_over_is_found_again(hand_over):
    own = hand_over([request("a", 3)], [("x", 1.5)], [("x", "train"), ("y", "heldout")])
    assert rounds.requests(own) == [request("a", 3)]
    assert rounds.weights(own) == {"x": 1.5}
    assert rounds.heldout(own) == {"y"}


def test_requests_add_up_and_keep_their_words_so_that_what_they_brought_is_brought_again(hand_over):
    hand_over([request("a", 3), request("b", 2)])
    own = hand_over([request("a", 4, words=("other",)), request("c", 1)])
    assert rounds.requests(own) == [request("a", 7), request("b", 2), request("c", 1)]


def test_weights_are_those_of_the_last_round(hand_over):
    hand_over(weights=[("x", 1.5)])
    assert rounds.weights(hand_over(weights=[("y", 2.0)])) == {"y": 2.0}


def test_nothing_that_was_held_out_is_ever_taken_off_the_list(hand_over):
    hand_over(samples=[("x", "heldout"), ("y", "train")])
    own = hand_over(samples=[("x", "train"), ("z", "heldout")])
    assert [each.id for each in tables.read(own / rounds.FOLDER, Heldout)] == ["x", "z"]


def test_only_words_and_numbers_go_back_and_no_picture(hand_over):
    own = hand_over([request("a", 3)], [("x", 1.5)], [("y", "heldout")])
    assert {file.name for file in (own / rounds.FOLDER).iterdir()} == {
        "request.jsonl", "weight.jsonl", "heldout.jsonl",
    }  # fmt: skip


groups = st.dictionaries(st.sampled_from([f"g{n}" for n in range(30)]), st.integers(1, 9), min_size=1)


@given(groups, groups, st.floats(0, 0.9), st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
def test_what_was_held_out_stays_held_out_whatever_comes_and_whatever_share_is_asked(first, more, share, other):
    before = splits.sides(first, heldout=share, salt="s")
    held = {group for group, side in before.items() if side == "heldout"}
    after = splits.sides({**first, **more}, heldout=other, salt="t", held=held)
    assert all(after[group] == "heldout" for group in held)
    assert after.keys() == first.keys() | more.keys()


@given(groups, st.floats(0, 0.9))
@settings(max_examples=30, deadline=None)
def test_with_nothing_new_the_split_stays(sizes, share):
    before = splits.sides(sizes, heldout=share, salt="s")
    held = {group for group, side in before.items() if side == "heldout"}
    assert splits.sides(sizes, heldout=share, salt="s", held=held) == before
