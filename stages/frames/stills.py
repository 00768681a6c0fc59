"""Stills out of a video, with the exact time of each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from stages.errors import ImageError
from stages.images import Pixels


def stills(video: bytes, *, every_s: float, most: int) -> Iterator[tuple[float, Pixels]]:
    """The first frame of ``video`` and the next one after each ``every_s`` seconds, at most ``most`` of them.

    Gives the time of presentation in milliseconds and uint8[H, W, 3], RGB. The video is decoded from start to end and
    never sought: in a file of variable frame rate OpenCV's seeking finds the wrong frame.

    Raises:
        ImageError: when no frame can be decoded.
    """
    with tempfile.NamedTemporaryFile(suffix=".video") as file:
        Path(file.name).write_bytes(video)
        capture = cv2.VideoCapture(file.name)
        try:
            yield from _sampled(capture, every_s * 1000, most)
        finally:
            capture.release()


def _sampled(capture: cv2.VideoCapture, every_ms: float, most: int) -> Iterator[tuple[float, Pixels]]:
    due, count = 0.0, 0
    while count < most and capture.grab():
        time_ms = float(capture.get(cv2.CAP_PROP_POS_MSEC))
        if time_ms + 1e-6 < due:
            continue
        done, frame = capture.retrieve()
        if not done:
            break
        yield round(time_ms, 3), cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8)
        due, count = ((time_ms + 1e-6) // every_ms + 1) * every_ms, count + 1
    if not count:
        raise ImageError("not a video that can be decoded")
