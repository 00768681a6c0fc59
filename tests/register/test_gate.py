from dataclasses import replace

import pytest

from stages.records import PictureScore, Reading, Sample, Score
from stages.register import gate
from stages.register.gate import Finding, Gate

ASKED = Gate(
    metric="heldout_loss",
    kept=("prior_loss",),
    ceilings={"copy_rate": 0.05},
    in_house=False,
    resamples=200,
    seed=0,
)


def score(metric="heldout_loss", verdict="better", **others):
    values = {"id": metric, "metric": metric, "arm": "adapter", "base": 1.0, "adapter": 0.5, "delta": -0.5}
    values |= {"low": -0.6, "high": -0.4, "count": 3, "clusters": 3, "unit": "group", "definition": "0" * 16}
    return Score(**(values | {"better": "lower", "verdict": verdict} | others))


SOUND = [score(), score("prior_loss", "kept"), score("copy_rate", "no evidence", adapter=0.05)]


def readings(*values, metric="heldout_loss", definition="0" * 16):
    return [
        Reading(id=f"p{n:02}", group=f"g{n // 2}", metric=metric, definition=definition, value=value)
        for n, value in enumerate(values)
    ]


def states(scores):
    return [each.state for each in gate.findings(scores, "adapter", ASKED)]


def test_all_is_met_and_a_ceiling_may_just_be_reached():
    assert states(SOUND) == ["met", "met", "met"]


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        (score(verdict="no evidence"), "open"),
        (score(verdict="worse"), "failed"),
        (score(verdict=""), "open"),
        (score("prior_loss", "no evidence"), "open"),
        (score("prior_loss", "lost"), "failed"),
        (score("copy_rate", "no evidence", adapter=0.051), "failed"),
        (score("copy_rate", "no evidence", adapter=None), "open"),
        (score(arm="step-00000010"), "open"),
    ],
)
def test_a_condition_is_open_until_an_interval_decides_it(changed, state):
    scores = [changed if each.metric == changed.metric else each for each in SOUND]
    found = gate.findings(scores, "adapter", ASKED)
    assert sorted(each.state for each in found) == sorted([state, "met", "met"])
    assert gate.whole(found) == state


def test_what_was_not_measured_is_open_and_says_so():
    found = gate.findings([], "adapter", ASKED)
    assert [each.state for each in found] == ["open"] * 3
    assert found[0].words == "heldout_loss was not measured"
    assert found[2].words == "copy_rate was not measured, and may be 0.05 at most"


def test_the_worst_condition_speaks_for_all():
    assert gate.whole([Finding("open", ""), Finding("failed", ""), Finding("met", "")]) == "failed"


def test_a_version_beats_the_champion_picture_by_picture():
    champion = readings(*(1 + n / 10 for n in range(12)))
    new = readings(*(0.9 + n / 10 for n in range(12)))
    found = gate.against(new, champion, score(), ASKED)
    assert (found.state, found.words) == ("met", "heldout_loss -0.1 (-0.1 … -0.1) against the champion: better")
    assert gate.against(champion, new, score(), ASKED).state == "failed"
    assert gate.against(new, champion, score(better="higher"), ASKED).state == "failed"
    noise = [replace(each, value=each.value + 0.3 * (-1) ** (n // 2)) for n, each in enumerate(champion)]
    assert gate.against(noise, champion, score(), ASKED).words.endswith("against the champion: no evidence")


def test_near_duplicates_are_drawn_together():
    old = readings(*[0.0] * 8)
    new = [replace(each, value=float(n < 4)) for n, each in enumerate(readings(*[0.0] * 8))]
    apart = [replace(each, group=each.id) for each in new]
    spans = [high - low for _, low, high in (gate.difference(each, old, ASKED) for each in (new, apart))]
    assert spans[0] > spans[1]


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ([], "it has no values of single pictures"),
        (readings(1.0, 1.0, definition="1" * 16), "their scores are defined differently"),
        (readings(1.0, 1.0, metric="psnr"), "their scores are defined differently"),
        (readings(1.0, 1.0, 1.0), "they were judged by other pictures"),
    ],
)
def test_what_does_not_mean_the_same_is_not_compared(old, why):
    found = gate.against(readings(0.5, 0.5), old, score(), ASKED)
    assert found.state == "open"
    assert found.words.startswith(f"cannot be compared with the champion: {why}")


def test_a_metric_without_a_better_side_makes_no_champion():
    both = readings(1.0, 1.0), readings(2.0, 2.0)
    for silent in (None, score(better="neither")):
        assert gate.against(*both, silent, ASKED).words.endswith("heldout_loss does not say what is better")


def test_pictures_values_of_another_metric_than_the_gates_crown_nobody():
    other = replace(ASKED, metric="judged_right_subject")
    found = gate.against(
        readings(0.5, 0.5), readings(0.3, 0.3), score(metric="judged_right_subject", better="higher"), other
    )
    assert found.state == "open"
    assert found.words.endswith("they keep heldout_loss of each picture, not judged_right_subject")


def test_one_group_alone_crowns_nobody():
    new, old = ([replace(each, group="g") for each in readings(value, value)] for value in (0.1, 0.5))
    assert gate.against(new, old, score(), ASKED).state == "open"


def test_what_must_not_be_published_needs_the_configurations_word():
    assert gate.publication("", ASKED).state == "met"
    found = gate.publication("not for publication", ASKED)
    assert (found.state, found.words, found.final) == ("open", "is not for publication", True)
    assert gate.publication("not commercial", replace(ASKED, in_house=True)).state == "met"


def test_readings_are_those_of_the_arm_the_metric_and_the_subject():
    values = {"frame": "f", "variant": 0, "text": "", "split": "heldout", "width": 8, "height": 8, "digest": ""}
    values |= {"source_width": 8, "source_height": 8, "crop_left": 0, "crop_top": 0}
    values |= {"weight": 1.0, "place": ("0", 0, 1)}
    place = {"role": "subject", "group": "g"}
    samples = [Sample(id="a", **place, **values), Sample(id="b", **(place | {"role": "prior"}), **values)]
    rows = [
        PictureScore(id=f"{metric} {arm} {sample}", metric=metric, arm=arm, sample=sample, value=0.5)
        for metric in ("heldout_loss", "other")
        for arm in ("base", "adapter")
        for sample in ("a", "b")
    ]
    wanted = Reading(id="a", group="g", metric="heldout_loss", definition="0" * 16, value=0.5)
    assert gate.readings(rows, samples, score()) == [wanted]
    assert gate.readings(rows, samples, None) == []


def test_a_score_in_words_is_the_value_and_the_interval_of_the_difference():
    assert gate.said(score()) == "0.5 (-0.6 … -0.4)"
    assert gate.said(score(low=None)) == "0.5"
    assert gate.said(score(adapter=None)) == "–"
