"""Groups are transitive, and the split takes them whole."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.prepare.splits import groups, near_pairs, sides

IDS = [f"{n:02d}" for n in range(12)]
PAIRS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=14)
PAGES = st.lists(st.integers(0, 8), min_size=len(IDS), max_size=len(IDS)).map(
    lambda pages: dict(zip(IDS, pages, strict=True))
)


def test_alone_each_is_its_own_group():
    assert groups(["b", "a"], [], []) == {"a": "a", "b": "b"}


def test_what_shares_a_value_or_a_pair_shares_a_group_named_by_the_lowest_id():
    page = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 4}
    video = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 4}
    assert groups(list("edcba"), [page, video], [("c", "b")]) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


def test_equal_values_of_different_kinds_do_not_join():
    assert groups(["a", "b"], [{"a": 1, "b": 2}, {"a": 2, "b": 1}], []) == {"a": "a", "b": "b"}


@given(PAGES, PAIRS, st.permutations(IDS))
def test_groups_are_the_connected_parts_whatever_the_order(pages, pairs, order):
    found = groups(order, [pages], pairs)
    assert found == groups(IDS, [pages], reversed(pairs))
    joined = [*pairs, *(pair for pair in itertools.combinations(IDS, 2) if pages[pair[0]] == pages[pair[1]])]
    reach = {id: {id} for id in IDS}
    for _ in IDS:  # as many rounds as the longest chain
        for one, other in joined:
            reach[one] = reach[other] = reach[one] | reach[other]
    for id in IDS:
        together = {other for other in IDS if found[other] == found[id]}
        assert reach[id] <= together
        assert found[id] == min(together)
    assert len(set(found.values())) == _parts(joined)


def _parts(joined):
    """How many connected parts there are, counted by colouring."""
    colour = {id: number for number, id in enumerate(IDS)}
    for one, other in joined:
        old, new = colour[one], colour[other]
        colour = {id: new if each == old else each for id, each in colour.items()}
    return len(set(colour.values()))


def joined(ids, pairs):
    return groups(ids, [], pairs)


MIRROR = int("".join("01" * 8 for _ in range(16)), 2)  # every other column of 16 x 16 bits: the odd terms


@given(st.lists(st.tuples(st.integers(0, 256), st.booleans()), max_size=10), st.integers(-1, 100))
def test_near_pairs_join_what_is_within_the_distance_mirrored_or_not_and_are_no_more_than_needed(made, distance):
    ids = [f"{n:02d}" for n in range(len(made))]
    values = [((1 << count) - 1) ^ (MIRROR if mirrored else 0) for count, mirrored in made]
    found = list(near_pairs(ids, [f"{value:064x}" for value in values], distance=distance))
    near = [
        (ids[one], ids[other])
        for one, other in itertools.combinations(range(len(ids)), 2)
        if min((values[one] ^ values[other] ^ mask).bit_count() for mask in (0, MIRROR)) <= distance
    ]
    assert joined(ids, found) == joined(ids, near)
    assert len(found) == len(ids) - len(set(joined(ids, near).values()))


def test_minus_one_joins_not_even_equal_hashes():
    assert list(near_pairs(["a", "b"], ["0" * 64] * 2, distance=-1)) == []
    assert list(near_pairs(["a", "b"], ["0" * 64] * 2, distance=0)) == [("a", "b")]


SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 20), min_size=2, max_size=15)


@given(SIZES, st.floats(0.01, 0.99), st.text(max_size=5))
def test_both_sides_have_a_group_and_the_share_is_met_with_no_group_too_many(sizes, heldout, salt):
    result = sides(sizes, heldout=heldout, salt=salt)
    assert set(result) == set(sizes)
    assert set(result.values()) == {"train", "heldout"}
    held = [size for group, size in sizes.items() if result[group] == "heldout"]
    assert sum(held) - max(held) < heldout * sum(sizes.values())
    if len(held) < len(sizes) - 1:
        assert sum(held) >= heldout * sum(sizes.values())


def test_a_hundred_equal_groups_are_split_by_the_share():
    result = sides({f"{n}": 1 for n in range(100)}, heldout=0.25, salt="a")
    assert list(result.values()).count("heldout") == 25


@given(SIZES)
def test_without_a_share_all_is_trained_on(sizes):
    assert set(sides(sizes, heldout=0.0, salt="a").values()) == {"train"}


def test_a_single_group_is_trained_on_and_none_is_none():
    assert sides({"a": 9}, heldout=0.5, salt="a") == {"a": "train"}
    assert sides({}, heldout=0.5, salt="a") == {}


@given(SIZES, st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(sizes, random):
    mixed = list(sizes.items())
    random.shuffle(mixed)
    assert sides(dict(mixed), heldout=0.3, salt="a") == sides(sizes, heldout=0.3, salt="a")


def test_another_salt_is_another_split():
    sizes = {f"{n}": 1 for n in range(40)}
    assert sides(sizes, heldout=0.5, salt="a") != sides(sizes, heldout=0.5, salt="b")


@pytest.mark.parametrize("heldout", [0.1, 0.5, 0.9])
def test_of_two_groups_one_falls_on_each_side(heldout):
    assert sorted(sides({"a": 1, "b": 100}, heldout=heldout, salt="x").values()) == ["heldout", "train"]
