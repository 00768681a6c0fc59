import numpy as np
import pytest

from stages.evaluate import scores
from stages.evaluate.frechet import distance

HOW = scores.Resampling(resamples=300, seed=0)


def around(value, count=40, spread=0.01):
    return value + spread * np.random.default_rng(0).standard_normal(count)


def paired(base, adapter, better, **others):
    return scores.paired("score", (base, adapter), range(len(base)), better, HOW, **others)


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
    score = scores.one_arm("psnr_round_trip", around(30.0), range(40), "higher", HOW)
    assert score.low < score.base < score.high
    assert (score.adapter, score.delta, score.verdict) == (None, None, "")


def test_frechet_compares_both_arms_with_the_same_pictures():
    rng = np.random.default_rng(0)
    real, base = rng.standard_normal((30, 4)), rng.standard_normal((40, 4)) + 3
    adapter = base - 3
    score = scores.frechet("fd", (base, adapter), real, range(40), HOW)
    assert score.base == distance(base, real)
    assert score.adapter == distance(adapter, real)
    assert score.delta == score.adapter - score.base < 0
    assert score.verdict == "better"
    assert score.better == "lower"
    assert scores.frechet("fd", (adapter, base), real, range(40), HOW, margin=0.1).verdict == "lost"
