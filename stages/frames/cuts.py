"""Where one scene ends and the next begins.

The measure and the rule are those of PySceneDetect's adaptive detector (https://www.scenedetect.com/docs/latest/api/
detectors.html): a frame is the first of a scene when it differs far more from the one before than its neighbours do
from theirs, so that a fast pan is no cut. They are few lines; the package would bring readers of its own.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Annotated, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.config import settings
from stages.images import Pixels

Frame = TypeVar("Frame")

WINDOW = 2  # neighbours on either side, as the detector has by default
HUES = 180  # OpenCV's circle of hues has this many


@settings
class Config:
    """When a frame is the first of a scene. The first two are the detector's defaults."""

    min_change: Annotated[float, Field(gt=0)]  # of the frame to the one before, see ``change``
    ratio: Annotated[float, Field(gt=1)]  # of this change to the mean of its neighbours'
    min_scene_s: Annotated[float, Field(ge=0)]  # seconds from one cut to the next


def change(before: Pixels, after: Pixels) -> float:
    """How much two RGB frames, uint8[H, W, 3], differ: the mean of hue, saturation and value, 0 to 255.

    Hues lie on a circle and differ by 90 at most. Frames of two sizes, as some streams have, differ wholly.
    """
    if before.shape != after.shape:
        return 255.0
    one, other = (cv2.cvtColor(each, cv2.COLOR_RGB2HSV).astype(np.int16) for each in (before, after))
    differ: NDArray[np.int16] = np.abs(one - other)
    differ[..., 0] = np.minimum(differ[..., 0], HUES - differ[..., 0])
    return float(differ.mean())


def first_of_scenes(
    frames: Iterable[Frame], small: Callable[[Frame], Pixels], config: Config
) -> Iterator[tuple[Frame, Pixels, bool]]:
    """Each of ``frames`` with its ``small`` picture, and whether a scene begins with it; at most ``WINDOW`` run ahead."""
    past: deque[float] = deque(maxlen=WINDOW)
    ahead: deque[tuple[Frame, Pixels, float]] = deque()
    for frame, picture, changed in _changes(frames, small):
        ahead.append((frame, picture, changed))
        if len(ahead) > WINDOW:
            yield _decided(past, ahead, config)
    while ahead:
        yield _decided(past, ahead, config)


def _changes(frames: Iterable[Frame], small: Callable[[Frame], Pixels]) -> Iterator[tuple[Frame, Pixels, float]]:
    before: Pixels | None = None
    for frame in frames:
        picture = small(frame)
        yield frame, picture, 0.0 if before is None else change(before, picture)
        before = picture


def _decided(
    past: deque[float], ahead: deque[tuple[Frame, Pixels, float]], config: Config
) -> tuple[Frame, Pixels, bool]:
    frame, picture, changed = ahead.popleft()
    neighbours = [*past, *(each for _, _, each in islice(ahead, WINDOW))]
    usual = sum(neighbours) / len(neighbours) if neighbours else 0.0
    past.append(changed)
    return frame, picture, changed >= config.min_change and changed >= config.ratio * usual
