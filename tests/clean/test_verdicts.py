"""The rules one by one, their order, and near-duplicates."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import config as settings
from stages import rights
from stages.clean.verdicts import Config, judge, near_duplicates
from stages.records import Failure, Frame, Item, Quality, Signal
from stages.shards import Place

POLICIES = {
    file.stem: settings.check(yaml.safe_load(file.read_text()), rights.Policy, where=file.name)
    for file in (Path(__file__).parents[2] / "conf/policy").glob("*.yaml")
}
CONFIG = Config(
    policy=POLICIES["licensed"],
    min_side=100,
    min_sharpness=4.0,
    min_brightness=10.0,
    max_brightness=245.0,
    min_contrast=5.0,
    twin_distance=-1,
    blocklist=(),
)
GOOD = {"width": 200, "height": 100, "sharpness": 4.0, "brightness": 128.0, "contrast": 5.0}
FREE = {"licence": "CC0-1.0", "signals": (), "credit": ""}
NOAI = (Signal(layer="html", kind="meta robots", raw="noai", verdict="deny", category="train-any", scope="page"),)


def frame(id, size=1000, item=None):
    return Frame(id=id, item=item or id, time_ms=0.0, store="crawl", place=Place(shard="s", offset=0, size=size))


def item(id, **others):
    values = {"url": "http://a.test/a", "page": "", "kind": "image", "alt": "", "title": "", "author": ""}
    values |= {"licence_evidence": (), "consent": "", "place": Place(shard="s", offset=0, size=1)}
    return Item(id=id, **(values | FREE | others))


def quality(id, bits=0, **others):
    """Facts with a hash of which the lowest ``bits`` bits are set."""
    return Quality(id=id, hash=f"{(1 << bits) - 1:064x}", faces=(), **(GOOD | others))


def verdict(*, said=None, config=CONFIG, **facts):
    (one,) = judge([frame("a")], {"a": item("a", **(said or {}))}, [quality("a", **facts)], [], config)
    assert one.keep is not bool(one.reason)
    assert one.twin == ""
    return one.reason


def verdicts(facts, sizes=None, **settings):
    """What becomes of several frames, by id: "" when it stays, else its reason or the id of its twin."""
    frames = [frame(each.id, (sizes or {}).get(each.id, 1000)) for each in facts]
    config = dataclasses.replace(CONFIG, **settings)
    rows = judge(frames, {each.id: item(each.id) for each in facts}, facts, [], config)
    return {row.id: row.twin or row.reason for row in rows}


def test_a_frame_that_just_meets_every_threshold_stays():
    assert verdict() == ""
    assert verdict(brightness=10.0) == verdict(brightness=245.0) == ""


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"height": 99}, "small"),
        ({"width": 99}, "small"),
        ({"sharpness": 3.999}, "blurred"),
        ({"brightness": 9.999}, "dark"),
        ({"brightness": 245.001}, "bright"),
        ({"contrast": 4.999}, "flat"),
    ],
)
def test_just_below_a_threshold_a_frame_goes_with_its_reason(facts, reason):
    assert verdict(**facts) == reason


FAULTS = {"height": 1, "sharpness": 0.0, "brightness": 0.0, "contrast": 0.0}


def test_of_several_faults_the_first_in_order_counts():
    facts = dict(FAULTS)
    for name, reason in (("height", "small"), ("sharpness", "blurred"), ("brightness", "dark"), ("contrast", "flat")):
        assert verdict(**facts) == reason
        del facts[name]
    assert verdict(**facts) == ""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"licence": ""}, "licence unknown"),
        ({"licence": "CC-BY-NC-4.0"}, "licence non-commercial"),
        ({"licence": "CC-BY-ND-4.0"}, "licence without adaptations"),
        ({"signals": NOAI}, "opted out"),
        ({"licence": "", "signals": NOAI}, "opted out"),
    ],
)
def test_rights_come_before_quality(said, reason):
    assert verdict(said=said) == reason
    assert verdict(said=said, **FAULTS) == reason


def test_the_policy_says_what_speaks_against_a_picture():
    research = dataclasses.replace(CONFIG, policy=POLICIES["research"])
    assert verdict(said={"licence": "CC-BY-NC-4.0", "signals": NOAI}, config=research) == ""
    own = dataclasses.replace(CONFIG, policy=POLICIES["own"])
    assert verdict(config=own) == "licence unknown"


def test_the_blocklist_comes_before_all_and_names_frames_or_items():
    config = dataclasses.replace(CONFIG, blocklist=("a",))
    assert verdict(said={"licence": ""}, config=config) == "blocked"
    still = frame("still", item="a")
    (one,) = judge([still], {"a": item("a")}, [quality("still")], [], config)
    assert (one.keep, one.reason) == (False, "blocked")


def test_what_could_not_be_measured_is_broken():
    failure = Failure(id="a", what="a", reason="cut off")
    (one,) = judge([frame("a")], {"a": item("a", licence="")}, [], [failure], CONFIG)
    assert (one.keep, one.reason) == (False, "broken")


def test_every_frame_gets_one_verdict_in_the_order_of_ids():
    facts = [quality(id, bits=0 if id < "c" else 256) for id in "dbca"]
    assert list(verdicts(facts, twin_distance=0)) == ["a", "b", "c", "d"]


def test_the_twin_of_more_pixels_stays():
    facts = [quality("a"), quality("b", width=201)]
    assert verdicts(facts, {"a": 9999}, twin_distance=0) == {"a": "b", "b": ""}


def test_of_as_many_pixels_the_twin_of_more_bytes_stays():
    assert verdicts([quality("a"), quality("b")], {"b": 1001}, twin_distance=0) == {"a": "b", "b": ""}


def test_of_as_many_bytes_the_twin_of_the_lower_id_stays():
    assert verdicts([quality("b"), quality("a")], twin_distance=0) == {"a": "", "b": "a"}


@pytest.mark.parametrize(("distance", "twin"), [(9, ""), (10, "a"), (11, "a")])
def test_the_distance_of_twins_is_inclusive(distance, twin):
    assert verdicts([quality("a"), quality("b", bits=10)], twin_distance=distance)["b"] == twin


def test_minus_one_keeps_even_equal_pictures():
    assert verdicts([quality("a"), quality("b")], twin_distance=-1) == {"a": "", "b": ""}


def test_a_chain_of_likenesses_does_not_swallow_what_is_unlike_its_head():
    facts = [quality("a"), quality("b", bits=8), quality("c", bits=16)]
    assert verdicts(facts, twin_distance=10) == {"a": "", "b": "a", "c": ""}


def test_a_twin_names_the_nearest_of_those_that_stay():
    facts = [quality("a"), quality("b", bits=30), quality("c", bits=20)]
    assert verdicts(facts, twin_distance=20) == {"a": "", "b": "", "c": "b"}


def test_a_picture_that_goes_for_another_reason_swallows_no_twin():
    facts = [quality("a", width=400, sharpness=0.0), quality("b")]
    assert verdicts(facts, twin_distance=0) == {"a": "blurred", "b": ""}


def test_no_pictures_have_no_twins():
    assert near_duplicates([], {}, 40) == {}


def test_the_order_of_input_does_not_matter():
    facts = [quality("a"), quality("b", bits=8, width=300), quality("c", bits=16), quality("d", bits=40)]
    outcomes = [verdicts(list(order), {"c": 1001}, twin_distance=10) for order in itertools.permutations(facts)]
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(
    st.lists(st.tuples(st.integers(0, 256), st.integers(100, 103), st.integers(1, 3)), min_size=1, max_size=12),
    st.integers(-1, 60),
    st.randoms(use_true_random=False),
)
def test_those_that_stay_are_apart_and_those_that_go_are_near_one_that_stays(pictures, distance, random):
    facts = [quality(f"{n:02d}", bits=bits, width=width) for n, (bits, width, _) in enumerate(pictures)]
    sizes = {f"{n:02d}": size for n, (_, _, size) in enumerate(pictures)}
    bits = {f"{n:02d}": each[0] for n, each in enumerate(pictures)}
    twins = near_duplicates(facts, sizes, distance)
    staying = [each.id for each in facts if each.id not in twins]
    assert all(abs(bits[one] - bits[other]) > distance for one, other in itertools.combinations(staying, 2))
    assert all(other in staying and abs(bits[one] - bits[other]) <= distance for one, other in twins.items())
    random.shuffle(facts)
    assert near_duplicates(facts, sizes, distance) == twins
