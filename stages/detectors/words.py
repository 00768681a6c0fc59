"""Readable text: lines of words, signs, number plates. The text detector of PaddleOCR (PP-OCRv4), run by OpenCV.

Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020. It finds where text stands and
reads none of it. The weights (Apache-2.0, 5 MB) lie inside the wheel of rapidocr-onnxruntime 1.4.4, which is not
imported and whose own dependencies are not needed.
"""

from collections.abc import Iterator
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from stages import detectors
from stages.config import settings
from stages.detectors import Detector, Tensor
from stages.images import Pixels
from stages.records import Region

SHA256 = "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"  # ch_PP-OCRv4_det_infer.onnx of 1.4.4
OUTPUTS = ("sigmoid_0.tmp_0",)
MULTIPLE = 32  # the network halves five times
MEAN = np.array((0.485, 0.456, 0.406), np.float32)  # of ImageNet, as it was trained; its channels are BGR
SPREAD = np.array((0.229, 0.224, 0.225), np.float32)
TEXT = 0.3  # of a pixel that is text; PaddleOCR's own default
GROWTH = 1.6  # the network draws text thinner than it is; PaddleOCR's own default
LEAST = 3  # pixels of a line's shorter side; PaddleOCR's own default
CURE = "`pip install --no-deps rapidocr-onnxruntime==1.4.4` brings them"


@settings
class Config:
    """How large a picture is searched, and how sure the detector must be."""

    side: Annotated[int, Field(gt=0)]  # pixels; larger pictures are searched at this long side
    min_score: Annotated[float, Field(gt=0, lt=1)]  # mean over the line


def build(config: Config) -> Detector:
    """The detector over ``config``.

    Raises:
        ModelError: when the weights are not installed, or are others.
    """
    file = detectors.in_wheel("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx")
    onnx = detectors.weights(file, sha256=SHA256, where="stages.detectors.words", cure=CURE)
    network = detectors.network(onnx, OUTPUTS)

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        small, scale = detectors.shrunk(pixels, side=config.side)
        (map_BCHW,) = network(_batch(detectors.padded(small, multiple=MULTIPLE)))
        found = [
            detectors.placed(box, score, (), scale=scale, pixels=pixels)
            for box, score in lines(map_BCHW[0, 0], min_score=config.min_score)
        ]
        return detectors.in_order(each for each in found if each.width > 0 < each.height)

    return detect


def lines(text: Tensor, *, min_score: float) -> Iterator[tuple[tuple[float, float, float, float], float]]:
    """Box (left, top, right, bottom) and score of each line in ``text``, float32[h, w]: how much each pixel is text.

    Each patch of text is grown on every side by area / perimeter * ``GROWTH``, since the paper's labels are shrunk by
    such a share. A slanted line gives the upright rectangle around it.
    """
    patches, labels, boxes, _ = cv2.connectedComponentsWithStats((text > TEXT).astype(np.uint8))
    for patch in range(1, patches):  # 0 is the background
        left, top, across, down, area = (int(each) for each in boxes[patch])
        here = np.s_[top : top + down, left : left + across]
        score = float(text[here][labels[here] == patch].mean())
        if min(across, down) >= LEAST and score >= min_score:
            grow = area * GROWTH / (2 * (across + down))
            yield (left - grow, top - grow, left + across + grow, top + down + grow), score


def _batch(pixels: Pixels) -> Tensor:
    """``pixels``, uint8[H, W, 3] RGB, as the network wants them: float32[1, 3, H, W]."""
    normal = (pixels[..., ::-1].astype(np.float32) / 255 - MEAN) / SPREAD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
