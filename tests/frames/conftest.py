"""Videos made by PyAV, of known pictures at known times."""

import io
import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from stages import specimens
from stages.frames import cuts, decoding, stills


@pytest.fixture
def encoded():
    """A video of ``pictures`` shown at ``at`` milliseconds, as bytes; FFV1 loses nothing."""

    def make(pictures, at, suffix="mkv", codec="ffv1", base=1000):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format={"mkv": "matroska"}.get(suffix, suffix)) as container:
            track = container.add_stream(codec, rate=25)
            track.height, track.width = pictures[0].shape[:2]
            track.pix_fmt = {"ffv1": "bgr0", "png": "rgb24"}.get(codec, "yuv420p")
            track.codec_context.time_base = track.time_base = Fraction(1, base)
            for picture, time_ms in zip(pictures, at, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(time_ms * base / 1000), Fraction(1, base)
                container.mux(track.encode(frame))
            container.mux(track.encode())
        return buffer.getvalue()

    return make


@pytest.fixture
def film(encoded):
    """A video of ``count`` plain frames, each greyer than the one before by 6, as bytes."""

    def make(count=30, per_second=10, **how):
        pictures = [np.full((48, 64, 3), 6 * number % 256, dtype=np.uint8) for number in range(count)]
        return encoded(pictures, [1000 * number / per_second for number in range(count)], **how)

    return make


@pytest.fixture(scope="session")
def scenes():
    """The frames of a pan over each of some photographs, ``lengths`` frames each: a list of uint8[96, 128, 3]."""
    photographs = [
        cv2.resize(specimens.photograph(name), (320, 240), interpolation=cv2.INTER_AREA)
        for name in ("coffee", "rocket", "chelsea", "retina", "immunohistochemistry")
    ]

    def make(lengths, step=2):
        return [
            np.ascontiguousarray(photographs[scene % 5][60:156, step * n % 192 : step * n % 192 + 128])
            for scene, length in enumerate(lengths)
            for n in range(length)
        ]

    return make


@pytest.fixture
def turned():
    """An MP4 whose display matrix says that it is to be turned clockwise by so many degrees."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}

    def rewrite(video, degrees):
        at = video.index(b"tkhd") + 44
        a, b, c, d = (value << 16 for value in matrices[degrees])
        assert video[at : at + 4] == struct.pack(">i", 1 << 16)
        return video[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + video[at + 36 :]

    return rewrite


@pytest.fixture
def song():
    """A song with its cover, which FFmpeg takes for a video track."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        sound, cover = container.add_stream("aac", rate=44_100), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 48, "yuvj420p", Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, dtype=np.uint8), format="rgb24")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        picture.pts, samples.pts, samples.rate = 0, 0, 44_100
        for track, frame in ((cover, picture), (sound, samples)):
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return buffer.getvalue()


@pytest.fixture
def sound():
    """A file that has a sound track and no other."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        track = container.add_stream("flac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(track.encode(frame))
        container.mux(track.encode())
    return buffer.getvalue()


@pytest.fixture
def settings_of():
    """Settings that take every change for one; give others to change them."""

    def make(*, every_s=1.0, min_change=1.0, max_stills=100, max_seconds=60.0, max_frames=1000, min_scene_s=0.5):
        return stills.Config(
            every_s=every_s,
            min_change=min_change,
            max_stills=max_stills,
            cuts=cuts.Config(min_change=15.0, ratio=3.0, min_scene_s=min_scene_s),
            limits=decoding.Limits(max_seconds=max_seconds, max_frames=max_frames),
        )

    return make
