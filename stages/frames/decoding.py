"""A video's frames in the order and at the time in which they are shown, by PyAV, which is FFmpeg's libraries.

The video is decoded from start to end and never sought, so a variable frame rate costs nothing of the exactness.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Annotated

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from pydantic import Field

from stages.config import settings
from stages.errors import ImageError
from stages.images import MAX_PIXELS, Pixels

# What cameras and pages have. FFmpeg knows more, some of it dangerous from strangers: a playlist opens other files.
FORMATS = ("avi", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg", "webm")
SMALL = 96  # pixels of the long side at which frames are compared


@settings
class Limits:
    """How much of a video is decoded; the rest is left."""

    max_seconds: Annotated[float, Field(gt=0)]  # of the video's own time
    max_frames: Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame of a video, and when it is shown."""

    pts: int  # presentation time stamp, in units of ``time_base``; of the first frame it need not be 0
    time_base: str  # seconds, as a fraction: "1/12800"
    time_ms: float  # from the first frame on
    frame: VideoFrame

    def pixels(self) -> Pixels:
        """The frame as uint8[H, W, 3], RGB, turned upright as its display matrix says."""
        turned = np.rot90(self.frame.to_ndarray(format="rgb24"), k=round(self.frame.rotation / 90))
        return np.ascontiguousarray(turned, dtype=np.uint8)

    def small(self) -> Pixels:
        """The frame as uint8[h, w, 3], RGB, not turned, its long side at most ``SMALL`` pixels."""
        scale = min(1.0, SMALL / max(self.frame.width, self.frame.height))
        width, height = (max(1, round(side * scale)) for side in (self.frame.width, self.frame.height))
        small = self.frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
        return np.asarray(small.to_ndarray(), dtype=np.uint8)


def frames(video: bytes, limits: Limits) -> Iterator[Shown]:
    """Every frame of the first video track of ``video`` that can be decoded, within ``limits``; sound is left alone.

    Damaged parts are stepped over. What is not taken at once is dropped: a frame may be large.

    Raises:
        ImageError: when it is no video, has no video track, or no frame can be decoded.
    """
    with _opened(video) as container:
        first: Fraction | None = None
        for pts, frame in islice(_decoded(container, _track(container)), limits.max_frames):
            seconds = pts * Fraction(frame.time_base or 0)
            first = seconds if first is None else first
            if seconds - first > limits.max_seconds:
                break
            time_ms = round(float((seconds - first) * 1000), 3)
            yield Shown(pts=pts, time_base=str(frame.time_base), time_ms=time_ms, frame=frame)
        if first is None:
            raise ImageError("no frame of its video track can be decoded")


def _opened(video: bytes) -> InputContainer:
    options = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": ""}
    try:
        return av.open(io.BytesIO(video), "r", container_options=options, metadata_errors="replace")
    except (FFmpegError, ValueError):
        raise ImageError("not a video that can be decoded") from None


def _track(container: InputContainer) -> VideoStream:
    """The first video track; a song's cover is none."""
    for track in container.streams.video:
        if not track.disposition & Disposition.attached_pic:
            track.codec_context.thread_count = 1  # the machine's other cores have other videos
            return track
    raise ImageError("has no video track")


def _decoded(container: InputContainer, track: VideoStream) -> Iterator[tuple[int, VideoFrame]]:
    """Time stamp and frame of all that can be decoded; the stamps rise, as they do in a file that is not damaged."""
    last: int | None = None
    for packet in _packets(container, track):
        try:
            decoded = packet.decode()
        except MemoryError:
            raise  # which FFmpeg's is, too: for the guard
        except FFmpegError:
            continue
        for frame in decoded:
            if frame.width * frame.height > MAX_PIXELS:
                raise ImageError(f"{frame.width} x {frame.height} pixels; at most {MAX_PIXELS:,} are decoded")
            if frame.pts is not None and not frame.is_corrupt and (last is None or frame.pts > last):
                last = frame.pts
                yield last, frame


def _packets(container: InputContainer, track: VideoStream) -> Iterator["Packet[VideoStream]"]:
    try:
        yield from container.demux(track)
    except MemoryError:
        raise
    except FFmpegError:
        return  # the file is cut off here
