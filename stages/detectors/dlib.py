"""Upright frontal faces by dlib's histograms of gradients, which ship inside its wheel: nothing is fetched.

Dalal and Triggs, CVPR 2005, with five views and the margins of King, arXiv 1502.00046. It gives no landmarks, and its
score is how far a window lies beyond the border of the classifier, at most 1. Needs ``pip install 'darkroom[dlib]'``.
"""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from stages import detectors
from stages.config import settings
from stages.detectors import Detector
from stages.errors import ModelError
from stages.images import Pixels
from stages.records import Region


@settings
class Config:
    """How large a face must be, and how sure the detector."""

    side: Annotated[int, Field(gt=0)]  # pixels; larger pictures are searched at this long side
    doublings: Annotated[
        int, Field(ge=0, le=2)
    ]  # of that size: without any the smallest face has 80 pixels, with one 40
    min_score: Annotated[float, Field(ge=0, le=1)]


def build(config: Config) -> Detector:
    """The detector over ``config``.

    Raises:
        ModelError: when dlib is not installed.
    """
    try:
        import dlib  # noqa: F401 - before the first picture
    except ImportError:
        raise ModelError(
            "measure.detector: dlib is not installed; pip install 'darkroom[dlib]', or take detector=centerface"
        ) from None

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        small, scale = detectors.shrunk(pixels, side=config.side)
        finder = detectors.of_thread(_finder)
        boxes, scores, _views = finder.run(np.ascontiguousarray(small), config.doublings, config.min_score)
        return detectors.in_order(
            detectors.placed(
                (box.left(), box.top(), box.right() + 1, box.bottom() + 1), score, (), scale=scale, pixels=pixels
            )
            for box, score in zip(boxes, scores, strict=True)
        )

    return detect


def _finder() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()
