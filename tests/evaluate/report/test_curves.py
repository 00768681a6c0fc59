import pytest

from stages.evaluate.report import curves
from stages.evaluate.report.curves import Mark
from stages.records import Point


@pytest.fixture
def rows(score):
    """Two checkpoints and the end of two metrics, and one that is not compared."""
    alone = {"adapter": None, "delta": None}
    arms = ("step-00000010", "adapter", "step-00000009")
    both = [score(metric, arm, base=1.0, low=-0.5, high=0.25) for metric in ("heldout_loss", "fd_x") for arm in arms]
    return [*both, score("fd_x_null", **alone)]


def test_a_metric_goes_from_the_base_over_its_checkpoints_to_the_end(rows):
    found = curves.by_metric(rows, 12)
    assert set(found) == {"heldout_loss", "fd_x"}
    assert [mark.step for mark in found["fd_x"]] == [0, 9, 10, 12]
    assert found["fd_x"][0] == Mark(step=0, value=1.0, low=1.0, high=1.0)


def test_the_bounds_of_the_difference_are_laid_on_the_base(rows):
    assert curves.by_metric(rows, 12)["fd_x"][1] == Mark(step=9, value=0.1, low=0.5, high=1.25)


def test_files_hold_every_digit(rows):
    files = dict(curves.of_metrics(rows, 12))
    lines = files["heldout_loss"].splitlines()
    assert lines[:2] == ["step,value,low,high,base", "0,1.0,1.0,1.0,1.0"]
    assert lines[-1] == "12,0.1,0.5,1.25,1.0"


def test_the_losses_and_one_distance_are_drawn(rows):
    drawn = curves.drawings(rows, 12)
    assert [each.label for each in drawn] == ["heldout_loss", "fd_x"]
    assert [len(each.bars) for each in drawn] == [3, 3]
    share = (1.25 - 1.0) / (1.25 - 0.1)  # of the height, from the top
    assert drawn[0].base == pytest.approx(curves.TOP + (curves.BOTTOM - curves.TOP) * share, abs=0.1)


def test_without_checkpoints_there_is_no_curve_over_them(score):
    assert curves.drawings([score(), score("fd_x")], 12) == []


def test_a_curve_of_training_goes_from_its_first_point_to_its_last():
    points = [
        Point(id=str(step), step=step, loss=loss, rate=0.0, heldout_loss=None, prior_loss=2.0)
        for step, loss in ((0, 0.0), (5, 3.0), (10, 1.0))
    ]
    loss, prior = curves.training(points)
    assert loss.note == "3 → 1 in 10 steps"
    assert loss.path == "179.0,10.0 312.0,128.0"
    assert prior.label == "held-out loss of the prior"
    assert len({pair.split(",")[1] for pair in prior.path.split()}) == 1  # flat
    assert loss.bars == []
    assert loss.base is None
