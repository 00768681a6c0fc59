"""PSNR and SSIM of picture pairs, where there is a true picture to compare with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

PSNR_CAP = 100.0  # dB; equal pictures would have infinity, which no table and no plot can hold
_RADIUS = 5  # of the 11-tap window


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of two uint8[H, W, 3], 10 log10(255^2 / MSE), at most ``PSNR_CAP``."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return PSNR_CAP if not error else min(PSNR_CAP, 10 * np.log10(255**2 / error))


def ssim(one: Pixels, other: Pixels) -> float:
    """Structural similarity of two uint8[H, W, 3], -1 to 1: the mean over channels and the valid region.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004: Gaussian window of 11
    taps and sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, float64. Equals scikit-image's with
    ``gaussian_weights=True, use_sample_covariance=False``; its defaults and torchmetrics' give other numbers.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(np.mean(top / bottom))


def _blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean around each pixel whose window lies inside the picture."""
    kernel = np.asarray(cv2.getGaussianKernel(2 * _RADIUS + 1, 1.5, cv2.CV_64F))
    blurred = cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)
    return np.asarray(blurred[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS], dtype=np.float64)
