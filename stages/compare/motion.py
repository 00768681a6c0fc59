"""How steady a video is: what its neighbouring frames have in common, and what their motion does not explain."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

Flow = NDArray[np.float32]  # float32[H, W, 2]: how far each pixel moves, x then y


def consistency(features: NDArray[np.float64]) -> float:
    """The mean cosine of the features of neighbouring frames, float64[N, D] of at least two: 1 where nothing changes."""
    vectors = features / np.linalg.norm(features, axis=1, keepdims=True)
    return float((vectors[:-1] * vectors[1:]).sum(axis=1).mean())


def warp_error(frame: Pixels, following: Pixels) -> float:
    """The mean squared difference, 0 to 1, of ``frame`` and ``following`` moved back onto it, where both show the same.

    Lai et al., "Learning Blind Video Temporal Consistency", 2018, with the optical flow of Kroeger et al., arXiv
    1603.03590 (OpenCV's DIS), which needs no weights, in place of FlowNet 2: the papers' numbers are others. NaN where
    no pixel is seen in both.
    """
    grey, grey_following = _grey(frame), _grey(following)
    there, back = _flow(grey, grey_following), _flow(grey_following, grey)
    seen = _seen(there, _moved(back, there))
    if not seen.any():
        return float("nan")
    difference = (frame.astype(np.float32) - _moved(following.astype(np.float32), there)) / 255
    return float((difference[seen].astype(np.float64) ** 2).mean())


def _grey(frame: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _flow(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Flow:
    nothing = np.zeros((*one.shape, 2), dtype=np.float32)
    made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(one, other, nothing)
    return np.asarray(made, dtype=np.float32)


def _places(flow: Flow) -> Flow:
    """Where each pixel comes to lie."""
    y, x = np.indices(flow.shape[:2], dtype=np.float32)
    return np.asarray(flow + np.stack([x, y], axis=-1), dtype=np.float32)


def _moved(values: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
    """``values`` of the frame that ``flow`` leads to, at the pixels that it comes from."""
    x, y = np.moveaxis(_places(flow), -1, 0)
    moved = cv2.remap(values, x.copy(), y.copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


def _seen(there: Flow, back: Flow) -> NDArray[np.bool_]:
    """Where the way there and back ends where it began, as Ruder et al., arXiv 1604.08610, have it, inside the frame."""
    squares = (there**2).sum(-1) + (back**2).sum(-1)
    ends = _places(there)
    height, width = there.shape[:2]
    inside = (ends >= 0).all(-1) & (ends[..., 0] <= width - 1) & (ends[..., 1] <= height - 1)
    return np.asarray((((there + back) ** 2).sum(-1) <= 0.01 * squares + 0.5) & inside, dtype=np.bool_)
