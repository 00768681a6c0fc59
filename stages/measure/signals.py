"""Numbers about one picture, most from one grey image: how sharp it is, how it is exposed, how colourful."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

Grey = NDArray[np.uint8]  # uint8[H, W]

DARK, BRIGHT = 32, 223  # grey values: below the first is near black, above the second near white


def grey(pixels: Pixels, *, side: int) -> Grey:
    """``pixels`` in grey, made smaller until the long side is at most ``side``, so that sharpness can be compared."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.uint8)


def laplacian_variance(image: Grey) -> float:
    """The variance of the Laplacian: 0 for a flat picture, above about 100 for a sharp photograph.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    _, deviation = cv2.meanStdDev(cv2.Laplacian(image, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def exposure(image: Grey) -> tuple[float, float]:
    """Mean and standard deviation of the grey values, 0 to 255 and 0 to 127.5."""
    mean, deviation = cv2.meanStdDev(image)
    return float(mean[0, 0]), float(deviation[0, 0])


def extremes(shares: NDArray[np.float64]) -> tuple[float, float]:
    """How much of a picture with the histogram ``shares`` is near black, and how much near white, each 0 to 1."""
    return float(shares[:DARK].sum()), float(shares[BRIGHT + 1 :].sum())


def entropy(shares: NDArray[np.float64]) -> float:
    """The entropy of the histogram ``shares`` in bits, 0 to 8.

    Shannon, "A Mathematical Theory of Communication", 1948.
    """
    present = shares[shares > 0]
    return float(abs((present * np.log2(present)).sum()))


def histogram(image: Grey) -> NDArray[np.float64]:
    """The share of each grey value in ``image``, float64[256]; they add up to 1."""
    return cv2.calcHist([image], [0], None, [256], [0, 256]).ravel().astype(np.float64) / image.size


def colourfulness(pixels: Pixels) -> float:
    """How colourful ``pixels`` are: 0 for greys, 33 moderately, 59 quite, 82 highly, 109 extremely.

    Hasler and Süsstrunk, "Measuring colourfulness in natural images", SPIE 2003, equation for M-hat(3).
    """
    opponents = cv2.transform(pixels.astype(np.float32), _OPPONENTS)
    mean, deviation = cv2.meanStdDev(opponents)
    return float(np.linalg.norm(deviation) + 0.3 * np.linalg.norm(mean))


_OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], dtype=np.float32)  # red against green, yellow against blue
