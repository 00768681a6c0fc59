"""Numbers about one picture, all from one grey image: how sharp it is and how it is exposed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

Grey = NDArray[np.uint8]  # uint8[H, W]


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
