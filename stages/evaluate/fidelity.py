"""PSNR, SSIM and MS-SSIM of picture pairs, where there is a true picture to compare with."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

PSNR_CAP = 100.0  # dB; equal pictures would have infinity, which no table and no plot can hold
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # the paper's, fine to coarse
_RADIUS = 5
WINDOW = 2 * _RADIUS + 1  # pixels: the side of the window, and the least of a picture
LEAST_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # pixels: 176, for a window at the coarsest scale


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
    light, structure = _parts(one.astype(np.float64), other.astype(np.float64))
    return float(np.mean(light * structure))


def ms_ssim(one: Pixels, other: Pixels) -> float:
    """Structural similarity over five scales of two uint8[H, W, 3] of at least ``LEAST_SIDE`` pixels, 0 to 1.

    Wang, Simoncelli and Bovik, "Multi-Scale Structural Similarity for Image Quality Assessment", 2003: contrast and
    structure of each scale, luminance of the coarsest, each to the power of its weight, halved by the mean of 2 x 2
    pixels in between; the mean over channels. A negative mean counts as 0, of which a power can be taken.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    product = np.ones(3)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        light, structure = _parts(x, y)
        last = scale == len(SCALE_WEIGHTS) - 1
        means = ((light * structure) if last else structure).mean(axis=(0, 1))
        product *= np.maximum(means, 0) ** weight
        x, y = _halved(x), _halved(y)
    return float(product.mean())


def names(pictures: Sequence[Pixels]) -> list[str]:
    """What can be measured of pictures of these sizes: small ones have no five scales."""
    large = all(min(picture.shape[:2]) >= LEAST_SIDE for picture in pictures)
    return ["psnr", "ssim", "ms_ssim"] if large else ["psnr", "ssim"]


def each(name: str, reals: Sequence[Pixels], others: Sequence[Pixels]) -> NDArray[np.float64]:
    """The measure ``name`` of each pair, float64[N]."""
    measure = {"psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim}[name]
    return np.array([measure(real, other) for real, other in zip(reals, others, strict=True)])


def _parts(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Likeness of light, and of contrast and structure together, at each pixel of the valid region."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return light, (2 * covariance + c2) / (var_x + var_y + c2)


def _halved(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each 2 x 2 pixels; a last odd row or column is left out."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    return np.asarray(image[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3)))


def _blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean around each pixel whose window lies inside the picture."""
    kernel = np.asarray(cv2.getGaussianKernel(WINDOW, 1.5, cv2.CV_64F))
    blurred = cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)
    return np.asarray(blurred[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS], dtype=np.float64)
