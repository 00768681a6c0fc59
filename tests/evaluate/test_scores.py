import numpy as np
import pytest

from stages.evaluate import scores
from stages.evaluate.metrics.frechet import distance
from stages.records import Generation
from stages.shards import Place

HOW = scores.Resampling(resamples=300, seed=0)


def around(value, count=40, spread=0.01):
    return value + spread * np.random.default_rng(0).standard_normal(count)


def question(better="lower", *, margin=None, arm="adapter"):
    return scores.Question(metric="score", arm=arm, better=better, margin=margin, definition="0" * 16)


def singles(count):
    return scores.Clusters(range(count), "group")


def paired(base, adapter, better, **others):
    return scores.paired(question(better, **others), (base, adapter), singles(len(base)), HOW)


@pytest.mark.parametrize(
    ("base", "adapter", "better", "verdict"),
    [
        (1.0, 0.5, "lower", "better"),
        (0.5, 1.0, "lower", "worse"),
        (0.5, 1.0, "higher", "better"),
        (1.0, 0.5, "higher", "worse"),
        (1.0, 0.5, "neither", "no evidence"),
    ],
)
def test_a_clear_difference_has_a_verdict_by_its_direction(base, adapter, better, verdict):
    assert paired(around(base), around(adapter), better).verdict == verdict


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_an_interval_that_holds_zero_is_no_evidence(better):
    rng = np.random.default_rng(0)
    base = rng.standard_normal(40)
    score = paired(base, base + rng.standard_normal(40), better)
    assert score.low < 0 < score.high
    assert score.verdict == "no evidence"


def test_no_difference_at_all_is_no_evidence():
    assert paired(around(1.0), around(1.0), "lower").verdict == "no evidence"


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
@pytest.mark.parametrize(
    ("loss", "verdict"), [(-0.3, "kept"), (0.0, "kept"), (0.05, "kept"), (0.3, "lost"), (0.1, "no evidence")]
)
def test_what_must_be_kept_may_lose_a_margin(better, sign, loss, verdict):
    """The loss is a share of the base's mean; the margin is 0.1."""
    base = around(2.0)
    noise = 0.05 * np.random.default_rng(1).standard_normal(40)
    adapter = base + sign * 2.0 * loss + noise - noise.mean()
    assert paired(base, adapter, better, margin=0.1).verdict == verdict


def test_a_small_but_certain_loss_is_kept_and_a_large_uncertain_one_is_not():
    base = around(1.0)
    assert paired(base, base + 0.01, "lower", margin=0.1).verdict == "kept"
    rng = np.random.default_rng(2)
    assert paired(base, base + rng.standard_normal(40), "lower", margin=0.1).verdict == "no evidence"


def test_the_margin_of_a_negative_base_is_of_its_size():
    base = around(-1.0)
    assert paired(base, base + 0.05, "lower", margin=0.1).verdict == "kept"


def test_pairing_hides_what_differs_between_pictures():
    base = 10 * np.random.default_rng(0).standard_normal(40)
    score = paired(base, base - 0.1, "lower")
    assert score.verdict == "better"
    assert score.delta == pytest.approx(-0.1)


def test_the_numbers_are_means_and_their_difference():
    score = paired(np.array([1.0, 3.0]), np.array([2.0, 6.0]), "higher")
    assert (score.base, score.adapter, score.delta, score.count) == (2.0, 4.0, 2.0, 2)
    assert score.low <= 2.0 <= score.high


def test_one_arm_has_an_interval_and_no_verdict():
    score = scores.one_arm(question("higher", arm="base"), around(30.0), singles(40), HOW)
    assert score.low < score.base < score.high
    assert (score.adapter, score.delta, score.verdict) == (None, None, "")


def test_a_statistic_of_sets_is_compared_with_the_same_pictures_drawn():
    rng = np.random.default_rng(0)
    real, base = rng.standard_normal((30, 4)), rng.standard_normal((40, 4)) + 3
    arms = tuple((lambda picks, of=features: distance(of[picks], real)) for features in (base, base - 3))
    score = scores.compared(question(), arms, singles(40), HOW)
    assert score.base == distance(base, real)
    assert score.adapter == distance(base - 3, real)
    assert score.delta == score.adapter - score.base < 0
    assert score.verdict == "better"
    assert scores.compared(question(margin=0.1), arms[::-1], singles(40), HOW).verdict == "lost"


def test_one_group_alone_is_no_evidence_however_clear_it_looks():
    clusters = scores.Clusters(["page"] * 4, "group")
    base = around(1.0, 4)
    for margin in (None, 0.1):
        score = scores.paired(question(margin=margin), (base, base - 0.5), clusters, HOW)
        assert (score.low, score.high, score.verdict) == (None, None, "no evidence")
    assert scores.remark(score) == "of one group alone, which says nothing of others"


def test_a_set_of_the_same_law_is_not_worse_for_being_wider():
    """The base is narrower than the references, and few pictures of many numbers flatter it: that is bias, not a verdict."""
    rng = np.random.default_rng(0)
    real, drawn = rng.standard_normal((60, 54)), rng.standard_normal((48, 54))
    arms = tuple((lambda picks, of=features: distance(of[picks], real)) for features in (0.8 * drawn, drawn))
    score = scores.compared(question(), arms, scores.Clusters(np.repeat(range(16), 3).tolist(), "prompt"), HOW)
    assert score.low < score.delta < score.high
    assert score.verdict == "no evidence"


def test_a_landmark_has_neither_interval_nor_verdict():
    score = scores.landmark(question(arm="base"), 3.0, singles(12))
    assert (score.base, score.low, score.high, score.verdict, score.count) == (3.0, None, None, "", 12)


@pytest.mark.parametrize(
    ("arm", "id"), [("adapter", "score"), ("base", "score"), ("step-00000150", "score@step-00000150")]
)
def test_only_a_checkpoint_stands_in_the_name(arm, id):
    assert question(arm=arm).id == id


def generation(prompt, seed):
    place = Place(shard="", offset=0, size=0)
    return Generation(id=f"{prompt}{seed}", arm="base", prompt=prompt, role="subject", seed=seed, place=place)


def test_pictures_of_one_prompt_are_drawn_together_where_there_are_ten_prompts():
    many = scores.by_prompt([generation(str(prompt), seed) for prompt in range(10) for seed in range(3)])
    assert (many.unit, many.count, len(many.of)) == ("prompt", 10, 30)
    few = scores.by_prompt([generation(str(prompt), seed) for prompt in range(9) for seed in range(3)])
    assert (few.unit, few.count, len(few.of)) == ("picture", 27, 27)


def test_what_an_interval_does_not_say_is_remarked():
    def remark(count, unit):
        return scores.remark(scores.one_arm(question(), np.ones(count), scores.Clusters(range(count), unit), HOW))

    assert remark(10, "prompt") == ""
    assert remark(27, "picture") == "of these prompts alone: too few to speak of others"
    assert remark(7, "group") == ""
    assert remark(1, "group") == "of one group alone, which says nothing of others"
    assert remark(4, "group") == "only 4 groups: true if others vary by the normal law"
