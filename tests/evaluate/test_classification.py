import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score
from torchmetrics.functional.classification import multiclass_calibration_error

from stages.evaluate import classification
from stages.evaluate.classification import BINS, brier, calibration_error, confusion, macro_f1


def opinions(seed, count=200, classes=5):
    """What was asked and what a judge thinks: right more often than not, never quite sure."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    raw = rng.standard_normal((count, classes)) + 2 * np.eye(classes)[truth]
    return truth, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)


seeds = pytest.mark.parametrize("seed", range(3))


@seeds
def test_confusions_and_f1_equal_scikit_learns(seed):
    truth, probabilities = opinions(seed)
    seen = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(confusion(truth, seen, 5), confusion_matrix(truth, seen))
    assert macro_f1(truth, seen, 5) == pytest.approx(f1_score(truth, seen, average="macro"), abs=1e-12)
    assert 0.5 < macro_f1(truth, seen, 5) < 1


def test_only_classes_that_were_asked_for_have_an_f1():
    """Two are asked; one picture of the first was taken for a third class, one of the second for the first."""
    truth, seen = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 0])
    first, second = 2 * 2 / (2 * 2 + 1 + 1), 0.0
    assert macro_f1(truth, seen, 3) == pytest.approx((first + second) / 2)
    assert macro_f1(truth, seen, 3) == pytest.approx(f1_score(truth, seen, labels=[0, 1], average="macro"))
    assert macro_f1(truth, truth, 3) == 1


@seeds
def test_the_brier_score_is_scikit_learns(seed):
    truth, probabilities = opinions(seed)
    known = brier_score_loss(truth, probabilities, labels=range(5), scale_by_half=False)
    assert brier(truth, probabilities).shape == (200,)
    assert brier(truth, probabilities).mean() == pytest.approx(known, abs=1e-12)


def test_the_brier_score_goes_from_0_to_2():
    sure = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    assert brier(np.array([0, 0]), sure).tolist() == [0, 2]


@seeds
def test_the_calibration_error_is_torchmetrics(seed):
    truth, probabilities = opinions(seed)
    known = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(truth), 5, n_bins=BINS, norm="l1")
    assert known > 0.01
    assert calibration_error(truth, probabilities) == pytest.approx(known.item(), abs=1e-6)


def test_the_calibration_error_by_hand(monkeypatch):
    """With two bins: 0.5 and 0.4 in the lower one, of which one is right; 0.9 and 1.0 in the upper one, both right."""
    monkeypatch.setattr(classification, "BINS", 2)
    probabilities = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]])
    expected = 0.5 * abs(0.5 - 0.45) + 0.5 * abs(1 - 0.95)
    assert calibration_error(np.array([0, 1, 0, 0]), probabilities) == pytest.approx(expected)


def test_who_is_right_as_often_as_it_is_sure_has_no_calibration_error():
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert calibration_error(np.array([0, 0, 0, 1]), probabilities) == pytest.approx(0)
    assert calibration_error(np.array([1, 1, 1, 1]), probabilities) == pytest.approx(0.75)
