"""Pictures as they stand in the page: small, and in the page itself."""

import base64

import cv2
import numpy as np

from stages.images import Pixels, encode_jpeg, encode_png

SIDE = 256  # pixels: the longest side that the page holds
EXACT = 128  # pixels: up to here a picture is embedded as it is
QUALITY = 85  # of JPEG


def inline(pixels: Pixels) -> str:
    """``pixels`` as the address of an ``img``: exact where they are small, else scaled down and as JPEG."""
    if max(pixels.shape[:2]) <= EXACT:
        return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()
    jpeg = encode_jpeg(scaled(pixels, SIDE), quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def scaled(pixels: Pixels, side: int) -> Pixels:
    """``pixels`` no longer than ``side`` on either side; never enlarged."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))  # a line of one pixel keeps it
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
