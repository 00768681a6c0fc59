"""Numbers about one picture, most from one grey image: how sharp it is, how it is exposed, how colourful."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

Grey = NDArray[np.uint8]  # uint8[H, W]

DARK, BRIGHT = 32, 223  # grey values: below the first is near black, above the second near white


def smaller(pixels: Pixels, *, side: int) -> Pixels:
    """``pixels`` made smaller until the long side is at most ``side``, so that numbers can be compared.

    First by a whole factor, which costs a quarter of any other, and what does not divide is cut off at the right and
    the bottom; then by what is left.
    """
    height, width = pixels.shape[:2]
    factor = max(1, min(max(height, width) // side, height, width))
    if factor > 1:
        width, height = width // factor, height // factor
        whole = pixels[: height * factor, : width * factor]
        pixels = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_LINEAR if scale > 0.5 else cv2.INTER_AREA  # the second for lines a few pixels thin
    return cv2.resize(pixels, size, interpolation=how).astype(np.uint8, copy=False)


def grey(pixels: Pixels) -> Grey:
    """``pixels`` in grey, by the weights of ITU-R BT.601."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


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
    red, green, blue = cv2.split(pixels)
    against_green = cv2.subtract(red, green, dtype=cv2.CV_16S)
    against_blue = cv2.addWeighted(cv2.add(red, green, dtype=cv2.CV_16S), 0.5, blue.astype(np.int16), -1, 0)
    means, deviations = zip(*(cv2.meanStdDev(each) for each in (against_green, against_blue)), strict=True)
    return float(np.linalg.norm(deviations) + 0.3 * np.linalg.norm(means))
