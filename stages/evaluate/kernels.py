"""The squared maximum mean discrepancy of two sets of features, unbiased also where pictures are drawn again.

Gretton et al., "A Kernel Two-Sample Test", 2012, equation 3. Bińkowski et al., arXiv 1801.01401 (KID) and Jayasumana et
al., arXiv 2401.09603 (CMMD) are this with kernels of their own.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stages.bootstrap import Picks

Features = NDArray[np.float64]  # float64[N, D]
Kernel = Callable[[Features, Features], NDArray[np.float64]]  # float64[N, M] of N and M pictures


def polynomial(one: Features, other: Features) -> NDArray[np.float64]:
    """(x . y / D + 1)^3, the kernel of KID."""
    return np.asarray((one @ other.T / one.shape[1] + 1) ** 3)


def gaussian(one: Features, other: Features) -> NDArray[np.float64]:
    """exp(-|x - y|^2 / (2 sigma^2)) with the sigma of 10 that CMMD's authors chose for CLIP's unit vectors."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None, :] - 2 * one @ other.T
    return np.asarray(np.exp(-squares / (2 * 10.0**2)))


def discrepancy(kernel: Kernel, drawn: Features, real: Features) -> Callable[[Picks], float]:
    """The squared discrepancy between ``real`` and what of ``drawn`` is picked; it may be negative.

    No picture is compared with itself, also when it is picked twice: such pairs would say that the set is narrower than
    it is, and the mean over resamples would not be the value of the whole.
    """
    within, across = kernel(drawn, drawn), kernel(drawn, real)
    np.fill_diagonal(within, 0)
    among = kernel(real, real)
    constant = (among.sum() - np.trace(among)) / (len(real) * (len(real) - 1))

    def squared(picks: Picks) -> float:
        counts = np.bincount(picks, minlength=len(drawn)).astype(np.float64)
        pairs = len(picks) ** 2 - float(counts @ counts)
        if not pairs:
            return float("nan")
        return float(counts @ within @ counts / pairs + constant - 2 * counts @ across.mean(axis=1) / len(picks))

    return squared
