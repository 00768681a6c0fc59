"""The Fréchet distance between two sets of features, exact where there are fewer pictures than features."""

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]  # float64[N, D]


def distance(one: Features, other: Features) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets of features.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2); Dowson and Landau, 1982, and Heusel et al., arXiv 1706.08500. The
    last trace is the sum of the singular values of C1 C2^T, C being the centred features over sqrt(n - 1): no square
    root of a matrix, no imaginary part, and 0 for equal sets whatever their size. It needs two pictures of each.
    """
    factor_one, factor_other = _factor(one), _factor(other)
    shared = np.linalg.svd(factor_one @ factor_other.T, compute_uv=False).sum()
    spread = float((factor_one**2).sum() + (factor_other**2).sum() - 2 * shared)
    return float(((one.mean(0) - other.mean(0)) ** 2).sum()) + max(0.0, spread)


def _factor(features: Features) -> Features:
    """A matrix C of at most D rows whose C^T C is the covariance."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred
