"""With real digits, where everything is known; over the tiny run: tests/evaluate/test_stage.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from stages import plugins, specimens
from stages.evaluate.metrics import Sorting
from stages.evaluate.metrics.judged import Config, Judged
from stages.evaluate.scores import Question, Resampling

PICTURES, LABELS = specimens.digits()
RESERVED = np.flatnonzero(specimens.reserved_digits(LABELS))
ASKED = {"subject": [9] * 12, "prior": [0, 1, 3, 4] * 6}


def real(digit, number):
    return PICTURES[[place for place in RESERVED if LABELS[place] == digit][number]]


# The base draws no nine but fours; the adapter draws nines, and one more in place of each three.
DRAWS = {"base": {9: 4}, "adapter": {3: 9}}


def generation(arm, number, asked, *, alike):
    prompt = f"a handwritten digit {specimens.DIGITS[asked]}" if alike else f"{specimens.DIGITS[asked]} {number}"
    return SimpleNamespace(prompt=prompt, seed=number, drawn=real(DRAWS[arm].get(asked, asked), number))


def evidence(roles=("subject", "prior"), *, alike=False):
    """All prompts of a class are ``alike``, or none."""

    def question(metric, arm, better, *, by, margin=None):
        return Question(metric=metric, arm=arm, better=better, margin=margin, definition=str(by))

    def by_arm(arm, role):
        asked = ASKED[role] if role in roles else []
        return [generation(arm, number, each, alike=alike) for number, each in enumerate(asked)]

    return SimpleNamespace(
        base="base",
        arms=["base", "adapter"],
        adapters=["adapter"],
        how=Resampling(resamples=50, seed=0),
        pictures=SimpleNamespace(by_arm=by_arm, drawn=lambda each: each.drawn),
        question=question,
    )


@pytest.fixture(scope="module")
def metric():
    return plugins.build("stages.evaluate.metrics", {"name": "judged", "judge": {"name": "digits"}, "margin": 0.1})


@pytest.fixture(scope="module")
def rows(metric):
    return {score.id: score for score in metric(evidence())}


def test_the_share_that_is_right_stands_by_role(rows):
    assert (rows["judged_right_subject"].base, rows["judged_right_subject"].adapter) == (0, 1)
    assert (rows["judged_right_prior"].base, rows["judged_right_prior"].adapter) == (1, 0.75)


def test_f1_is_over_all_prompts_so_that_what_is_drawn_instead_costs_both(rows):
    """Base: nine 0, four 2*6/(2*6+12), others 1. Adapter: three 0, nine 2*12/(2*12+6), others 1."""
    score = rows["judged_f1"]
    assert score.base == pytest.approx((0 + 0.5 + 3) / 5)
    assert score.adapter == pytest.approx((0 + 0.8 + 3) / 5)
    assert (score.count, score.unit, score.better) == (36, "picture", "higher")


def test_prompts_are_drawn_only_where_each_class_has_enough_of_them(metric, monkeypatch):
    """With one prompt of nines among ten of others, many a draw would have no nine."""
    for counts, unit in (({9: 12, 0: 10}, "prompt"), ({9: 1, 0: 15}, "picture")):
        monkeypatch.setitem(ASKED, "subject", [9] * counts[9])
        monkeypatch.setitem(ASKED, "prior", [0] * counts[0])
        [score] = [each for each in metric(evidence()) if each.id == "judged_f1"]
        assert (score.unit, score.count) == (unit, sum(counts.values()))


def test_what_is_only_one_prompt_of_many_is_still_seen(metric, monkeypatch):
    monkeypatch.setitem(DRAWS, "adapter", {})
    [score] = [each for each in metric(evidence(alike=True)) if each.id == "judged_f1"]
    assert (score.verdict, score.adapter) == ("better", 1)


def test_a_judge_that_sees_what_was_asked_is_near_and_one_that_does_not_is_far(rows):
    brier, calibration = rows["judged_brier"], rows["judged_calibration"]
    assert 0 < brier.adapter < brier.base < 2
    assert brier.better == calibration.better == "lower"
    assert 0 < calibration.adapter < calibration.base < 1
    assert brier.definition == "{'judge': {'name': 'digits'}, 'bins': 15}"


def test_what_was_taken_for_what_is_counted(metric):
    found = {(row.arm, row.asked, row.seen): row.count for row in metric.confusions(evidence())}
    assert isinstance(metric, Sorting)
    same = {(arm, word, word): 6 for arm in DRAWS for word in ("zero", "one", "four")}
    drawn = {("base", "nine", "four"): 12, ("base", "three", "three"): 6}
    drawn |= {("adapter", "nine", "nine"): 12, ("adapter", "three", "nine"): 6}
    assert found == same | drawn


def test_without_pictures_there_is_nothing(metric):
    assert list(metric(evidence(roles=()))) == []
    assert list(metric.confusions(evidence(roles=()))) == []


def test_without_a_prior_the_subject_alone_is_judged(metric):
    found = {score.id for score in metric(evidence(roles=("subject",)))}
    assert found == {"judged_right_subject", "judged_f1", "judged_brier", "judged_calibration"}


def test_a_judge_without_classes_says_right_or_wrong_alone(monkeypatch):
    def judge(pictures, prompts):
        return np.ones(len(pictures), dtype=bool)

    monkeypatch.setattr(plugins, "build", lambda package, choice: judge)
    metric = Judged(Config(judge={"name": "yes"}, margin=0.1))
    assert {score.id for score in metric(evidence())} == {"judged_right_subject", "judged_right_prior"}
    assert list(metric.confusions(evidence())) == []
