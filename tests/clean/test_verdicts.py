"""The rules one by one, their order, and near-duplicates."""

import dataclasses
import itertools
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import config as settings
from stages import rights
from stages.clean.rules import RULES, Config, check_measured
from stages.clean.verdicts import Known, judge
from stages.errors import ConfigError
from stages.records import Evidence, Frame, Item, Quality, Region, Signal
from stages.shards import Place

POLICIES = {
    file.stem: settings.check(yaml.safe_load(file.read_text()), rights.Policy, where=file.name)
    for file in (Path(__file__).parents[2] / "conf/policy").glob("*.yaml")
}
BOUNDS = {"min_side": 100, "min_sharpness": 4.0, "min_brightness": 10.0, "max_brightness": 245.0, "min_contrast": 5.0}
OFF = dict.fromkeys(rule.setting for rule in RULES)
CONFIG = Config(
    policy=POLICIES["licensed"],
    blocklist=(),
    blocked_distance=31,
    faces="keep",
    consent_on=date(2026, 6, 1),
    min_face=0.0,
    twin_distance=-1,
    twin_looks="plain",
    min_hash_quality=50,
    refused_twins="reserved",
    likeness=None,
    thin=3,
    **(OFF | BOUNDS),
)
GOOD = {"width": 200, "height": 100, "sharpness": 4.0, "brightness": 128.0, "contrast": 5.0, "format": "PNG"}
GOOD |= {"dark": 0.0, "bright": 0.0, "entropy": 7.0, "colourfulness": 9.0, "hash_quality": 100, "text": 0.0}
GOOD |= {"watermark": 0.0, "aesthetic": None, "nsfw": None}
FREE = {"licence": "CC0-1.0", "signals": (), "credit": ""}
NOAI = (Signal(layer="html", kind="meta robots", raw="noai", verdict="deny", category="train-any", scope="page"),)


def frame(id, size=1000, item=None):
    return Frame(
        id=id,
        item=item or id,
        pts=0,
        time_base="",
        time_ms=0.0,
        store="crawl",
        place=Place(shard="s", offset=0, size=size),
    )


def item(id, **others):
    values = {"url": "http://a.test/a", "page": "", "kind": "image", "alt": "", "title": "", "author": ""}
    values |= {"licence_evidence": (), "consent": "", "group": "", "place": Place(shard="s", offset=0, size=1)}
    return Item(id=id, **(values | FREE | others))


def quality(id, bits=0, faces=(), **others):
    """Facts with a hash of which the lowest ``bits`` bits are set."""
    return Quality(id=id, hash=f"{(1 << bits) - 1:064x}", faces=faces, **(GOOD | others))


def known(items, facts, blocked=(), vectors=None):
    """What is known of frames that are items of their own, but for ``items``."""
    facts = {each.id: each for each in facts}
    consents = {"release": "", "old": "expired on 2025-12-31", "back": "revoked on 2026-01-31"}
    return Known(
        items=items,
        quality=facts,
        blocked=frozenset(blocked),
        consents=consents,
        withdrawn=frozenset({"back"}),
        vectors=vectors or {},
    )


def verdict(*, said=None, config=CONFIG, blocked=(), **facts):
    (one,) = judge([frame("a")], known({"a": item("a", **(said or {}))}, [quality("a", **facts)], blocked), config)
    assert one.keep is not bool(one.reason)
    assert one.twin == ""
    return one.reason


def verdicts(facts, sizes=None, vectors=None, **settings):
    """What becomes of several frames, by id: "" when it stays, else its reason or the id of its twin."""
    frames = [frame(each.id, (sizes or {}).get(each.id, 1000)) for each in facts]
    config = dataclasses.replace(CONFIG, **settings)
    rows = judge(frames, known({each.id: item(each.id) for each in facts}, facts, vectors=vectors), config)
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


def test_what_is_blocked_goes_before_anything_else_is_asked():
    assert verdict(said={"licence": ""}, blocked=("a",), **FAULTS) == "blocked"
    assert verdict(blocked=("b",)) == ""


def test_what_could_not_be_measured_is_broken():
    (one,) = judge([frame("a")], known({"a": item("a", licence="")}, []), CONFIG)
    assert (one.keep, one.reason) == (False, "broken")


# A value of each signal that the rule lets pass at the very bound, and one just beyond it
BEYOND = {
    "min_side": (100, {"height": 100}, {"height": 99}),
    "min_sharpness": (4.0, {"sharpness": 4.0}, {"sharpness": 3.999}),
    "min_brightness": (10.0, {"brightness": 10.0}, {"brightness": 9.999}),
    "max_brightness": (245.0, {"brightness": 245.0}, {"brightness": 245.001}),
    "max_dark": (0.5, {"dark": 0.5}, {"dark": 0.501}),
    "max_bright": (0.5, {"bright": 0.5}, {"bright": 0.501}),
    "min_contrast": (5.0, {"contrast": 5.0}, {"contrast": 4.999}),
    "min_entropy": (3.0, {"entropy": 3.0}, {"entropy": 2.999}),
    "min_colourfulness": (8.0, {"colourfulness": 8.0}, {"colourfulness": 7.999}),
    "max_text": (0.2, {"text": 0.2}, {"text": 0.201}),
    "max_watermark": (0.7, {"watermark": 0.7}, {"watermark": 0.701}),
    "min_aesthetic": (5.0, {"aesthetic": 5.0}, {"aesthetic": 4.999}),
    "max_nsfw": (0.4, {"nsfw": 0.4}, {"nsfw": 0.401}),
}


def test_these_tests_see_every_rule():
    assert set(BEYOND) == {rule.setting for rule in RULES}
    assert len({rule.reason for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.setting)
def test_every_rule_is_inclusive_and_null_puts_it_out_of_use(rule):
    bound, meets, breaks = BEYOND[rule.setting]
    config = dataclasses.replace(CONFIG, **(OFF | {rule.setting: bound}))
    assert verdict(config=config, **meets) == ""
    assert verdict(config=config, **breaks) == rule.reason
    assert verdict(config=dataclasses.replace(CONFIG, **OFF), **breaks) == ""


@pytest.mark.parametrize("setting", ["min_aesthetic", "max_nsfw"])
def test_a_bound_on_what_was_measured_of_no_frame_is_an_error(setting):
    config = dataclasses.replace(CONFIG, **{setting: 0.5})
    name = setting.partition("_")[2]
    with pytest.raises(
        ConfigError, match=rf"^clean\.{setting}: no frame was measured for it; choose a model in conf/config"
    ):
        check_measured([quality("a"), quality("b")], config)
    check_measured([quality("a"), quality("b", **{name: 0.1})], config)  # what was not measured of one breaks nothing
    assert verdict(config=config) == ""
    check_measured([], config)


FACES = st.lists(st.integers(1, 100), max_size=3).map(
    lambda sides: tuple(Region(left=0, top=0, width=side, height=side + 5, score=1.0, landmarks=()) for side in sides)
)


@given(FACES, st.sampled_from(["release", "old", "back", "never written down", ""]))
def test_faces_are_kept_or_need_a_consent_that_counts_or_are_required(faces, consent):
    outcome = {
        policy: verdict(
            said={"consent": consent},
            config=dataclasses.replace(CONFIG, faces=policy, min_face=0.5),
            faces=faces,
        )
        for policy in ("keep", "consented", "required")
    }
    missing = "consent withdrawn" if consent == "back" else "face without consent"
    seen = any(face.width >= 50 for face in faces)  # half of the short side of 100
    assert outcome == {
        "keep": "",
        "consented": missing if seen and consent != "release" else "",
        "required": "" if seen else "no face",
    }


STRICTER = st.fixed_dictionaries(
    {
        "min_side": st.sampled_from([None, 100, 150]),
        "min_sharpness": st.sampled_from([None, 4.0, 8.0]),
        "max_dark": st.sampled_from([None, 0.5, 0.2]),
        "max_text": st.sampled_from([None, 0.4, 0.1]),
    }
)


@given(
    st.lists(st.tuples(st.integers(90, 160), st.floats(0, 12), st.floats(0, 1), st.floats(0, 1)), max_size=8),
    STRICTER,
    STRICTER,
)
def test_a_stricter_bound_never_keeps_more(pictures, one, other):
    facts = [
        quality(f"{n}", width=side, height=side, sharpness=sharpness, dark=dark, text=text)
        for n, (side, sharpness, dark, text) in enumerate(pictures)
    ]
    stricter = {setting: tighter(setting, one[setting], other[setting]) for setting in one}
    kept = [{id for id, why in verdicts(facts, **settings).items() if not why} for settings in (one, stricter)]
    assert kept[1] <= kept[0]


def tighter(setting, *bounds):
    given = [bound for bound in bounds if bound is not None]
    return (max(given) if setting.startswith("min") else min(given)) if given else None


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


def test_the_order_of_input_does_not_matter():
    facts = [quality("a"), quality("b", bits=8, width=300), quality("c", bits=16), quality("d", bits=40)]
    outcomes = [verdicts(list(order), {"c": 1001}, twin_distance=10) for order in itertools.permutations(facts)]
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_twin_whose_stand_in_is_a_lookalike_is_given_the_one_that_stays():
    facts = [quality("a", width=300, bits=200), quality("b"), quality("c", bits=3)]
    vectors = {
        id: np.array(vector, dtype=np.float32) for id, vector in {"a": [1, 0], "b": [1, 0.01], "c": [0, 1]}.items()
    }
    rows = judge(
        [frame(each.id) for each in facts],
        known({each.id: item(each.id) for each in facts}, facts, vectors=vectors),
        dataclasses.replace(CONFIG, twin_distance=5, likeness=0.9),
    )
    assert [(row.id, row.reason, row.twin) for row in rows] == [
        ("a", "", ""),
        ("b", "lookalike", "a"),
        ("c", "twin", "a"),
    ]


def test_without_a_bound_on_likeness_embeddings_are_not_compared():
    same = {id: np.ones(2, dtype=np.float32) for id in "ab"}
    facts = [quality("a"), quality("b", bits=200)]
    assert verdicts(facts, vectors=same) == {"a": "", "b": ""}
    assert verdicts(facts, vectors=same, likeness=0.99) == {"a": "", "b": "a"}


def test_a_picture_whose_hash_says_little_is_no_twin():
    facts = [quality("a"), quality("b", hash_quality=49), quality("c", hash_quality=50)]
    assert verdicts(facts, twin_distance=0) == {"a": "", "b": "", "c": "a"}


# Copies of what was refused for its rights

RESERVED = {
    "licence": "",
    "licence_evidence": (Evidence(where="xmp", raw="© A. All rights reserved", scope="picture"),),
}
FACE = Region(left=0, top=0, width=50, height=50, score=1.0, landmarks=())
REFUSED = {  # what is said of a picture, whether it is blocked, and from which reach on its copies are refused with it
    "blocked": ({}, True, "denied"),
    "opted out": ({"signals": NOAI, "licence": "CC-BY-NC-4.0"}, False, "denied"),
    "consent withdrawn": ({"consent": "back"}, False, "denied"),
    "rights reserved": (RESERVED, False, "reserved"),
    "licence unknown": ({"licence": ""}, False, "refused"),
    "licence non-commercial": ({"licence": "CC-BY-NC-4.0"}, False, "refused"),
    "licence without adaptations": ({"licence": "CC-BY-ND-4.0"}, False, "refused"),
}
REACHES = ("allow", "denied", "reserved", "refused")


def of_both(said, facts=None, *, blocked=(), **settings):
    """What becomes of a refused picture "a" and of "b", a free copy of it: reason and twin."""
    config = dataclasses.replace(CONFIG, **({"twin_distance": 10, "faces": "consented"} | settings))
    facts = facts or [quality("a", faces=(FACE,)), quality("b", bits=10)]
    items = {each.id: item(each.id) for each in facts} | {"a": item("a", **said)}
    rows = judge([frame(each.id) for each in facts], known(items, facts, blocked), config)
    return {row.id: (row.reason, row.twin) for row in rows}


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("reason", REFUSED)
def test_a_free_copy_of_a_refused_picture_is_refused_with_it_as_far_as_is_configured(reason, reach):
    said, is_blocked, since = REFUSED[reason]
    said = {"consent": "release"} | said
    found = of_both(said, blocked=("a",) if is_blocked else (), refused_twins=reach)
    shared = REACHES.index(reach) >= REACHES.index(since)
    assert found == {"a": (reason, ""), "b": (f"twin of {reason}", "a") if shared else ("", "")}


def test_a_reason_that_is_hidden_by_another_reaches_as_far():
    said = {
        **RESERVED,
        "licence_evidence": (*RESERVED["licence_evidence"], Evidence(where="a", raw="CC BY-NC 4.0", scope="picture")),
    }
    assert of_both(said)["a"] == ("licence non-commercial", "")
    assert of_both(said)["b"] == ("twin of rights reserved", "a")
    assert of_both({"licence": "", "consent": "back"})["b"] == ("twin of consent withdrawn", "a")


def test_what_is_refused_for_its_quality_or_for_want_of_a_consent_refuses_no_copy():
    small = [quality("a", height=20), quality("b")]
    assert of_both({}, small, refused_twins="refused") == {"a": ("small", ""), "b": ("", "")}
    assert of_both({"consent": "old"}, refused_twins="refused")["b"] == ("", "")


def test_who_looked_at_a_picture_that_reserves_its_rights_frees_its_copies():
    looked = dataclasses.replace(POLICIES["licensed"], reviewed=("a",))
    said = {**RESERVED, "consent": "release"}
    assert of_both(said, policy=looked) == {"a": ("", ""), "b": ("twin", "a")}


def test_a_copy_that_is_too_far_or_whose_hash_says_little_goes_by_its_own_rights():
    said = {"signals": NOAI}
    for copy in (quality("b", bits=11), quality("b", hash_quality=49)):
        assert of_both(said, [quality("a"), copy])["b"] == ("", "")
    assert of_both(said, twin_distance=-1)["b"] == ("", "")


def test_the_twins_of_a_refused_copy_do_not_stay_in_its_stead():
    facts = [quality("a"), quality("b", bits=8, width=400), quality("c", bits=16)]
    refusal = ("twin of opted out", "a")
    assert of_both({"signals": NOAI}, facts) == {"a": ("opted out", ""), "b": refusal, "c": refusal}


def test_lookalikes_of_refused_pictures_are_refused_where_likeness_is_asked_for():
    facts = [quality("a"), quality("b", bits=200)]
    vectors = {id: np.array(vector, dtype=np.float32) for id, vector in {"a": [1, 0], "b": [1, 0.01]}.items()}
    items = {"a": item("a", signals=NOAI), "b": item("b")}
    config = dataclasses.replace(CONFIG, twin_distance=10, likeness=0.9)
    rows = judge([frame(each.id) for each in facts], known(items, facts, vectors=vectors), config)
    assert [(row.reason, row.twin) for row in rows] == [("opted out", ""), ("lookalike of opted out", "a")]


RIGHTS = st.sampled_from([{}, *(said for said, _, _ in REFUSED.values())])
PICTURE = st.tuples(st.integers(0, 60), st.integers(200, 203), RIGHTS)


@given(
    st.lists(PICTURE, max_size=8),
    st.integers(0, 60),
    st.sampled_from([{"signals": NOAI}, RESERVED, {"licence": ""}]),
    st.sampled_from(REACHES),
    st.integers(-1, 20),
)
def test_one_refused_picture_more_never_frees_another(pictures, bits, said, reach, distance):
    config = dataclasses.replace(CONFIG, twin_distance=distance, refused_twins=reach)
    facts = [quality(f"{n}", bits=near, width=width) for n, (near, width, _) in enumerate(pictures)]
    items = {f"{n}": item(f"{n}", **own) for n, (_, _, own) in enumerate(pictures)} | {"x": item("x", **said)}

    def kept(facts):
        rows = judge([frame(each.id) for each in facts], known(items, facts), config)
        return {row.id for row in rows if row.keep}

    before, after = kept(facts), kept([*facts, quality("x", bits=bits, width=999)])
    assert after <= before
    copies = {each.id for n, each in enumerate(facts) if abs(pictures[n][0] - bits) <= distance}
    if reach != "allow" and "signals" in said:
        assert not after & copies


@given(st.lists(PICTURE, max_size=8), st.integers(-1, 20))
def test_the_farther_refusals_reach_the_less_stays(pictures, distance):
    facts = [quality(f"{n}", bits=near, width=width) for n, (near, width, _) in enumerate(pictures)]
    items = {f"{n}": item(f"{n}", **own) for n, (_, _, own) in enumerate(pictures)}
    kept = []
    for reach in REACHES:
        config = dataclasses.replace(CONFIG, twin_distance=distance, refused_twins=reach)
        rows = judge([frame(each.id) for each in facts], known(items, facts), config)
        kept.append({row.id for row in rows if row.keep})
    assert all(more >= less for more, less in itertools.pairwise(kept))
