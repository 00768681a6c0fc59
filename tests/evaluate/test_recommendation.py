import math

import pytest

from stages.evaluate import recommendation
from stages.evaluate.recommendation import Preference
from stages.records import Score

PREFERENCE = Preference(metric="loss", by="loss", keep=("prior",), ceilings={"copies": 0.05})
STEPS = ("step-2", "step-4")


def score(metric, arm, value, *, verdict="better", better="lower"):
    return Score(
        id=metric,
        metric=metric,
        arm=arm,
        base=1.0,
        adapter=value,
        delta=value - 1,
        low=value - 1.1,
        high=value - 0.9,
        count=20,
        clusters=20,
        unit="group",
        definition="0" * 16,
        better=better,
        verdict=verdict,
    )


class Evidence:
    """Arms whose values of one metric are known; two are told apart where they differ by ``apart``."""

    def __init__(self, losses, base="base", *, apart=0.05):
        self.losses, self.base, self.apart = losses, base, apart

    @property
    def adapters(self):
        return [arm for arm in self.losses if arm != self.base]

    def against(self, arm):
        return Evidence(self.losses, arm, apart=self.apart)


def loss(evidence):
    for arm in evidence.adapters:
        worse = evidence.losses[arm] - evidence.losses[evidence.base] > evidence.apart
        yield score("loss", arm, evidence.losses[arm], verdict="worse" if worse else "no evidence")


def chosen(losses, *others, preference=PREFERENCE):
    rows = [score("loss", arm, value) for arm, value in losses.items()]
    return recommendation.of([*rows, *others], Evidence(losses), loss, preference)


def test_the_best_is_taken():
    found = chosen({"adapter": 0.5, "step-2": 0.8, "step-4": 0.3})
    assert (found.id, found.reason) == ("step-4", "loss 0.3, the best of 3")


def test_the_earliest_of_those_that_are_not_clearly_worse_is_taken():
    found = chosen({"adapter": 0.30, "step-2": 0.8, "step-4": 0.33})
    assert found.id == "step-4"
    assert found.reason == "loss 0.33; adapter has 0.3, no clear difference, after a longer training"


def test_the_end_of_training_comes_after_every_step():
    assert chosen({"adapter": 0.3, "step-2": 0.3}).id == "step-2"


def test_what_loses_the_prior_or_copies_is_not_taken():
    losses = {"adapter": 0.1, "step-2": 0.5, "step-4": 0.3}
    assert chosen(losses, score("prior", "adapter", 2.0, verdict="lost")).id == "step-4"
    copies = score("copies", "step-4", 0.2)
    assert chosen(losses, score("prior", "adapter", 2.0, verdict="lost"), copies).id == "step-2"
    assert chosen(losses, score("prior", "adapter", 2.0, verdict="no evidence")).id == "adapter"


def test_where_none_is_sound_the_end_is_taken_and_every_fault_named():
    faults = [score("copies", arm, 0.5) for arm in ("adapter", "step-2")]
    found = chosen({"adapter": 0.1, "step-2": 0.5}, *faults)
    assert found.id == "adapter"
    assert found.reason == (
        "the end of training, and not sound: adapter: copies is over 0.05; step-2: copies is over 0.05"
    )


def test_what_was_not_measured_is_said():
    found = recommendation.of([], Evidence({"adapter": math.nan}), loss, PREFERENCE)
    assert (found.id, found.reason) == ("adapter", "the end of training: loss was not measured")


def test_without_the_part_that_could_be_asked_again_the_end_of_training_is_taken():
    found = recommendation.of([score("loss", "step-2", 0.1)], Evidence({"step-2": 0.1}), None, PREFERENCE)
    assert (found.id, found.reason) == ("adapter", "the end of training: loss was not measured")


@pytest.mark.parametrize(("better", "expected"), [("lower", "step-2"), ("higher", "step-4")])
def test_better_may_be_more(better, expected):
    values = {"step-2": 0.1, "step-4": 0.9}
    rows = [score("loss", arm, value, better=better) for arm, value in values.items()]
    told_apart = Evidence(values, apart=math.inf)

    def metric(evidence):
        yield from (score("loss", arm, values[arm], verdict="worse") for arm in evidence.adapters)

    assert recommendation.of(rows, told_apart, metric, PREFERENCE).id == expected
