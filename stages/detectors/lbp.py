"""Frontal faces by local binary patterns: the cascade that ships inside scikit-image's wheel, so nothing is fetched.

Viola and Jones, CVPR 2001, with the features of Zhang et al., ICB 2007. It finds upright frontal faces and often
misses profiles, turned and partly covered ones: ``centerface`` finds more of those, ``benchmarks/faces.py`` counts them.
"""

from functools import cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from stages import detectors
from stages.config import settings
from stages.detectors import Detector
from stages.images import Pixels
from stages.records import Region


@settings
class Config:
    """How large a face must be, and how sure the detector."""

    side: Annotated[int, Field(gt=0)]  # pixels; larger pictures are searched at this long side
    min_face: Annotated[float, Field(gt=0, lt=1)]  # of the short side
    min_neighbours: Annotated[int, Field(ge=1)]  # detections that must agree on a face


def build(config: Config) -> Detector:
    """The detector over ``config``."""

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        small, scale = detectors.shrunk(pixels, side=config.side)
        short = min(small.shape[:2])
        least = max(24, round(config.min_face * short))  # the cascade was trained on windows of 24 pixels
        if least > short:
            return ()
        found = _cascade().detect_multi_scale(
            img=np.ascontiguousarray(small),
            scale_factor=1.1,
            step_ratio=1,
            min_size=(least, least),
            max_size=(short, short),
            min_neighbor_number=config.min_neighbours,
        )
        return detectors.in_order(_region(each, scale) for each in found)

    return detect


def _region(found: dict[str, int], scale: float) -> Region:
    left, top, width, height = (round(found[key] / scale) for key in ("c", "r", "width", "height"))
    return Region(left=left, top=top, width=width, height=height, score=1.0, landmarks=())


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
