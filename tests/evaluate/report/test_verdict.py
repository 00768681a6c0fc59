import pytest

from stages.evaluate.report import verdict
from stages.records import Plan, Recommendation

PLAN = Plan(id="0", prompts=2, pictures=12, width=16, height=16, steps=2, guidance=2.0)
END = Recommendation(id="adapter", reason="heldout_loss 0.1, the best of 1")
MANY = {"count": 200, "clusters": 20, "unit": "group"}


def test_what_got_better_and_what_was_kept_is_named(score):
    said = verdict.of([score(**MANY), score("prior_loss", verdict="kept", **MANY)], END, PLAN)
    assert said.gained == "Better than the base by 1 of 2 measures (heldout_loss)"
    assert said.lost == "nothing was lost that had to be kept (prior_loss)"
    assert (said.tone, said.doubts) == ("better", [])


def test_what_got_worse_or_lost_sets_the_tone(score):
    said = verdict.of([score(), score("fd", verdict="worse"), score("prior_loss", verdict="lost")], END, PLAN)
    assert said.lost == "worse or lost: fd, prior_loss"
    assert said.tone == "worse"


def test_without_evidence_nothing_is_claimed(score):
    said = verdict.of([score(verdict="no evidence", **MANY)], END, PLAN)
    assert said.gained == "There is no evidence that anything got better, by 1 measures"
    assert said.lost == "nothing is clearly worse, and of nothing is it certain that it was kept"
    assert said.tone == ""


def test_the_verdict_is_on_what_is_recommended(score):
    rows = [score(verdict="worse"), score(arm="step-00000009")]
    said = verdict.of(rows, Recommendation(id="step-00000009", reason="heldout_loss 0.1"), PLAN)
    assert said.tone == "better"
    assert said.taken == "Take step 9: heldout_loss 0.1"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "the end of training: heldout_loss was not measured",
            "Take the end of training: heldout_loss was not measured",
        ),
        ("the end of training, and not sound: a is lost", "Take the end of training: not sound: a is lost"),
    ],
)
def test_the_reason_does_not_repeat_what_is_taken(score, reason, said):
    assert verdict.of([score()], Recommendation(id="adapter", reason=reason), PLAN).taken == said


def test_every_reason_for_doubt_is_given(score):
    rows = [score(), score("fd", unit="picture", clusters=6, count=6), score(arm="step-00000009")]
    doubts = " ".join(verdict.of(rows, END, PLAN).doubts)
    for words in (
        "Few prompts: 2 in all",
        "from fewer than 5 groups, true if others vary by the normal law: heldout_loss",
        "as few as 3",
        "best of 2",
    ):
        assert words in doubts
