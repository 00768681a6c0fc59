"""A suggested bound follows from the numbers by the formula, and none is ever in force."""

import dataclasses
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import config, rights
from stages.clean.rules import RULES, Config, Rule
from stages.clean.suggestions import ENOUGH, FENCE, NORMAL, fence, suggestions
from stages.records import Quality

LICENSED = Path(__file__).parents[2] / "conf/policy/licensed.yaml"
CONFIG = Config(
    policy=config.check(yaml.safe_load(LICENSED.read_text()), rights.Policy, where="policy"),
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
    **dict.fromkeys(rule.setting for rule in RULES),
)
FACTS = {"format": "PNG", "sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "dark": 0.0, "bright": 0.0}
FACTS |= {
    "entropy": 7.0,
    "colourfulness": 9.0,
    "text": 0.0,
    "watermark": 0.0,
    "faces": (),
    "aesthetic": None,
    "nsfw": None,
}
LOW, HIGH = (Rule("low", "min_contrast", lambda each: each.contrast), Rule("high", "max_dark", lambda each: each.dark))
DECADES = Rule("blurred", "min_sharpness", lambda each: each.sharpness, decades=True)


def quality(number, **facts):
    return Quality(id=f"{number}", width=200, height=100, hash="0" * 64, hash_quality=100, **(FACTS | facts))


def suggested(measured, config=CONFIG):
    return {row.id: row for row in suggestions(measured, config)}


def test_each_rule_has_a_row():
    assert list(suggested([])) == [rule.setting for rule in RULES]


def test_the_bound_is_the_median_and_three_and_a_half_deviations():
    values = np.array([*range(100, 200), 0, 300], dtype=float)
    spread = FENCE * NORMAL * float(np.median(np.abs(values - np.median(values))))
    assert fence(values, LOW) == pytest.approx(149.5 - spread, abs=1e-4)
    assert fence(values, HIGH) == pytest.approx(149.5 + spread, abs=1e-4)


def test_what_spreads_over_decades_is_looked_at_by_its_logarithm():
    values = np.expm1(np.array([*range(100, 200), 0], dtype=float) / 20)
    middle = np.median(np.log1p(values))
    spread = FENCE * NORMAL * float(np.median(np.abs(np.log1p(values) - middle)))
    assert fence(values, DECADES) == pytest.approx(np.expm1(middle - spread), abs=1e-3)


def test_where_most_are_equal_the_bound_is_where_one_in_a_hundred_lies_beyond():
    values = np.concatenate([np.zeros(950), np.linspace(0.01, 0.5, 51)])
    assert fence(values, HIGH) == pytest.approx(np.percentile(values, 99), abs=1e-4)
    assert fence(np.zeros(50), HIGH) == 0.0


def test_numbers_that_lean_to_one_side_lose_no_more_than_one_in_twenty():
    values = np.concatenate([np.linspace(0, 0.01, 80), np.linspace(0.2, 0.9, 20)])
    assert fence(values, HIGH) == pytest.approx(np.percentile(values, 95), abs=1e-4)
    assert fence(1 - values, LOW) == pytest.approx(np.percentile(1 - values, 5), abs=1e-4)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=40), st.sampled_from([LOW, HIGH, DECADES]))
def test_the_bound_lies_within_what_was_seen(values, rule):
    bound = fence(np.array(values), rule)
    assert min(values) - 2e-4 <= bound <= max(values) + 2e-4


def test_few_frames_suggest_nothing():
    assert suggested([quality(n) for n in range(ENOUGH - 1)])["min_contrast"].suggested is None
    assert suggested([quality(n) for n in range(ENOUGH)])["min_contrast"].suggested == 9.0


def test_what_was_not_measured_is_not_counted():
    row = suggested([quality(n, nsfw=0.1 if n < 3 else None) for n in range(ENOUGH)])["max_nsfw"]
    assert (row.measured, row.suggested, row.drops_then) == (3, None, 0)


def test_a_row_says_how_many_both_bounds_drop():
    measured = [quality(n, contrast=50.0 + n % 7) for n in range(60)] + [quality(60, contrast=1.0)]
    row = suggested(measured, dataclasses.replace(CONFIG, min_contrast=52.0))["min_contrast"]
    assert (row.current, row.measured) == (52.0, 61)
    assert row.drops_now == 1 + sum(n % 7 < 2 for n in range(60))
    assert row.drops_then == 1
    assert 1.0 < row.suggested < 50.0


@given(st.lists(st.floats(0, 255), min_size=ENOUGH, max_size=ENOUGH), st.randoms(use_true_random=False))
def test_the_order_of_frames_changes_no_suggestion(values, random):
    measured = [quality(n, brightness=value) for n, value in enumerate(values)]
    before = suggestions(measured, CONFIG)
    random.shuffle(measured)
    assert suggestions(measured, CONFIG) == before
