"""How well a classifier's opinions fit the truth: F1, confusions, calibration, as pure functions.

N pictures, K classes. ``truth`` is int64[N], 0 to K - 1; ``probabilities`` are float64[N, K], and sum to 1.
"""

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]
Probabilities = NDArray[np.float64]

BINS = 15  # of confidence; Guo et al.'s number


def confusion(truth: Classes, seen: Classes, count: int) -> NDArray[np.int64]:
    """int64[K, K], ``count`` being K: of the pictures of each class, by row, how many were taken for each, by column."""
    return np.bincount(truth * count + seen, minlength=count * count).reshape(count, count)


def macro_f1(truth: Classes, seen: Classes, count: int) -> float:
    """The mean over the classes that ``truth`` holds of 2 TP / (2 TP + FP + FN), 0 to 1; every class counts alike.

    A class that was only mistaken for another has no F1 of its own, but takes from the others'.
    """
    table = confusion(truth, seen, count)
    there = table.sum(axis=1) > 0
    right = 2 * np.diagonal(table)[there]
    return float((right / (table.sum(axis=1) + table.sum(axis=0))[there]).mean())


def brier(truth: Classes, probabilities: Probabilities) -> NDArray[np.float64]:
    """float64[N], 0 to 2: of each picture the squared distance of its probabilities from the truth. Brier, 1950."""
    known = np.eye(probabilities.shape[1])[truth]
    return np.asarray(((probabilities - known) ** 2).sum(axis=1))


def calibration_error(truth: Classes, probabilities: Probabilities) -> float:
    """The expected calibration error, 0 to 1: how far confidence is from being right, on average over pictures.

    Guo et al., arXiv 1706.04599: the greatest probability of each picture, in ``BINS`` of equal width that hold their
    upper edges; the difference between its mean and the share that is right, weighted by the pictures in each.
    """
    confidence = probabilities.max(axis=1)
    surplus = confidence - (probabilities.argmax(axis=1) == truth)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return float(np.abs(np.bincount(bins, weights=surplus, minlength=BINS)).sum() / len(truth))
