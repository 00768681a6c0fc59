from types import SimpleNamespace

import pytest

from stages.errors import ConfigError
from stages.records import Point
from stages.train import choice
from stages.train.settings import Choice


def curve(*heldout, prior=None):
    priors = prior or [None] * len(heldout)
    both = enumerate(zip(heldout, priors, strict=True))
    return [
        Point(id=f"{step:08d}", step=step, loss=1.0, rate=0.1, heldout_loss=mine, prior_loss=others)
        for step, (mine, others) in both
    ]


def test_the_best_point_has_the_lowest_loss_and_is_never_the_base():
    assert choice.best(curve(0.1, 0.5, 0.4, 0.45), prior_margin=0.0).step == 2
    assert choice.best(curve(0.1, 0.5, 0.4, 0.4), prior_margin=0.0).step == 2  # the earlier of two
    assert choice.best(curve(0.1), prior_margin=0.0) is None
    assert choice.best(curve(None, None), prior_margin=0.0) is None


def test_a_point_that_loses_the_prior_is_not_the_best_unless_all_do():
    prior = [1.0, 1.25, 1.5, 1.6]
    assert choice.best(curve(0.9, 0.5, 0.4, 0.3, prior=prior), prior_margin=0.25).step == 1
    assert choice.best(curve(0.9, 0.5, 0.4, 0.3, prior=prior), prior_margin=0.5).step == 2
    assert choice.best(curve(0.9, 0.5, 0.4, 0.3, prior=prior), prior_margin=0.1).step == 1  # loses least


def test_a_training_is_stalled_after_so_many_points_without_a_better_one():
    down, flat = [1.0, 0.8, 0.6], [0.6, 0.61]
    assert not choice.stalled(curve(*down, *flat), patience=3, min_delta=0.0)
    assert choice.stalled(curve(*down, *flat), patience=2, min_delta=0.0)
    assert not choice.stalled(curve(*down, *flat, 0.5), patience=2, min_delta=0.0)
    assert choice.stalled(curve(*down, *flat, 0.59), patience=2, min_delta=0.1)  # better, but by too little
    assert choice.stalled(curve(1.0, 0.95, 0.9), patience=2, min_delta=0.1)  # measured against the last better one
    assert not choice.stalled(curve(1.0, *[2.0] * 50), patience=0, min_delta=0.0)


@pytest.mark.parametrize("asked", [{"keep": "best"}, {"patience": 2}])
def test_a_choice_without_held_out_pictures_is_refused(asked):
    wanted = Choice(**({"keep": "last", "prior_margin": 0.1, "patience": 0, "min_delta": 0.0} | asked))
    rows = [("train", "subject"), ("heldout", "prior")]
    samples = [SimpleNamespace(split=split, role=role) for split, role in rows]
    with pytest.raises(ConfigError, match=r"train\.choice: .* give a greater prepare\.heldout"):
        choice.refuse_unfit(wanted, samples)
    choice.refuse_unfit(wanted, [*samples, SimpleNamespace(split="heldout", role="subject")])
