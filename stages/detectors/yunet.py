"""Faces with five landmarks by OpenCV's own detector, from a file of weights that the user brings.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023. OpenCV's model zoo has the
weights (MIT); they ship in no wheel, so their place and digest are given.
"""

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages import detectors
from stages.config import settings
from stages.detectors import Detector
from stages.images import Pixels
from stages.records import Region

OVERLAP = 0.3  # of two boxes of one face: OpenCV's own default
CANDIDATES = 5000  # before overlapping ones are merged: OpenCV's own default
CURE = "download face_detection_yunet_2023mar.onnx of OpenCV's model zoo and give its place and digest"


@settings
class Config:
    """Where the weights are, how large a picture is searched, and how sure the detector must be."""

    path: str  # of the .onnx file
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of that file
    side: Annotated[int, Field(gt=0)]  # pixels; larger pictures are searched at this long side
    min_score: Annotated[float, Field(gt=0, lt=1)]


def build(config: Config) -> Detector:
    """The detector over ``config``.

    Raises:
        ModelError: when the weights are not there, or are others.
    """
    onnx = detectors.weights(Path(config.path), sha256=config.sha256, where="stages.detectors.yunet", cure=CURE)

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        net = detectors.of_thread(_loaded, onnx, config.min_score)
        small, scale = detectors.shrunk(pixels, side=config.side)
        net.setInputSize((small.shape[1], small.shape[0]))
        found = net.detect(np.ascontiguousarray(small[..., ::-1]))[1]  # it wants BGR
        regions = [region(row, scale, pixels) for row in ([] if found is None else found)]
        return detectors.in_order(each for each in regions if each.width > 0 < each.height)

    return detect


def region(row: NDArray[np.float32], scale: float, pixels: Pixels) -> Region:
    """A ``row`` of what OpenCV gives, float32[15], found when ``pixels`` were multiplied by ``scale``.

    It holds left, top, width and height, x and y of eyes, nose and corners of the mouth, and the score.
    """
    left, top, width, height = row[:4]
    box = (left, top, left + width, top + height)
    return detectors.placed(box, row[14], row[4:14].reshape(5, 2), scale=scale, pixels=pixels)


def _loaded(onnx: bytes, min_score: float) -> Any:
    model = np.frombuffer(onnx, dtype=np.uint8)
    return cv2.FaceDetectorYN.create("onnx", model, np.empty(0, np.uint8), (1, 1), min_score, OVERLAP, CANDIDATES)
