"""Which part of a picture is kept: its middle, the part around a face, what stands out, or a face set upright."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.config import settings
from stages.images import Pixels
from stages.prepare import buckets
from stages.prepare.buckets import Bucket, Window
from stages.records import Region

# Where eyes, nose and corners of the mouth belong in a square of 112 pixels: Deng et al., "ArcFace", CVPR 2019.
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
SQUARE = 112
MAP = 64  # pixels of a side of the saliency map, as in the paper


@settings
class Config:
    """Which part of a picture is kept."""

    mode: Literal["centre", "face", "saliency", "aligned"]  # aligned: only where a consent record covers the subject
    margin: Annotated[float, Field(ge=0, le=4)]  # of the face, kept on every side
    min_score: Annotated[float, Field(ge=0, le=1)]  # of the detector; a face less sure is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """What became of one picture."""

    plain: Pixels  # in the size of its bucket
    source: Pixels  # what variants are made of
    window: Window  # of ``source``, which ``plain`` shows
    whole: Window  # where ``source`` begins in the whole picture, and how large that is in the pixels of ``source``
    lost: float  # share of the picture's area that is not in ``plain``, 0 to 1


class Upright(NamedTuple):
    """A face set upright."""

    pixels: Pixels  # in the size of its bucket
    scale: float  # of its pixels to the picture's
    middle: tuple[float, float]  # of the part that is kept, x and y in the scaled picture


def crop(pixels: Pixels, bucket: Bucket, face: Region | None, config: Config) -> Crop:
    """``pixels`` cut to ``bucket`` as ``config`` says; without a ``face`` the modes that need one keep the middle.

    A fourth channel of ``pixels`` is a mask, which is cut likewise and decides nothing.

    Where a ``face`` has no landmarks to align it by, as detectors of a union may give, the middle is kept, too.
    """
    height, width = pixels.shape[:2]
    if config.mode == "aligned" and face is not None and face.landmarks:
        return _upright(pixels, face, bucket, config)
    window = buckets.centre(width, height, bucket)
    if config.mode == "face" and face is not None:
        window = around(face, width, height, bucket, margin=config.margin)
    elif config.mode == "saliency":
        window = salient(pixels[..., :3], bucket)
    bare = config.mode != "centre"  # whether variants stay within the window
    return Crop(
        plain=buckets.fill(pixels, bucket, window),
        source=buckets.part(pixels, window) if bare else pixels,
        window=Window(0, 0, window.width, window.height) if bare else window,
        whole=Window(window.left if bare else 0, window.top if bare else 0, width, height),
        lost=1 - window.width * window.height / (width * height),
    )


def largest(faces: tuple[Region, ...], *, min_score: float) -> Region | None:
    """The largest of ``faces`` of which the detector is sure enough; of equal ones the first."""
    sure = [face for face in faces if face.score >= min_score]
    return max(sure, key=lambda face: face.width * face.height) if sure else None


def around(face: Region, width: int, height: int, bucket: Bucket, *, margin: float) -> Window:
    """The window of the bucket's aspect that keeps ``face`` with ``margin`` of its size on every side.

    It lies inside the picture of ``width`` by ``height`` and holds the whole face whenever a window of that aspect can. It
    is no smaller than the bucket where the picture allows it, so that little is enlarged.
    """
    wanted = max(face.width * (1 + 2 * margin) / bucket[0], face.height * (1 + 2 * margin) / bucket[1], 1.0)
    scale = min(wanted, width / bucket[0], height / bucket[1])
    across, down = min(width, math.ceil(bucket[0] * scale)), min(height, math.ceil(bucket[1] * scale))
    left = round(face.left + face.width / 2 - across / 2)
    top = round(face.top + face.height / 2 - down / 2)
    return Window(min(max(0, left), width - across), min(max(0, top), height - down), across, down)


def salient(pixels: Pixels, bucket: Bucket) -> Window:
    """The largest window of the bucket's aspect, moved to where most stands out; of equal places the one nearest the middle."""
    height, width = pixels.shape[:2]
    middle = buckets.centre(width, height, bucket)
    stands_out = saliency(pixels)
    left = _best(stands_out.sum(axis=0), width, middle.width)
    top = _best(stands_out.sum(axis=1), height, middle.height)
    return Window(left, top, middle.width, middle.height)


def saliency(pixels: Pixels) -> NDArray[np.uint8]:
    """How much each place stands out, uint8[64, 64]: the spectral residual of Hou and Zhang, CVPR 2007.

    The log spectrum less its own local mean, back in the picture, squared and smoothed. In whole steps, so that the last
    bits of another processor's Fourier transform do not move a crop.
    """
    grey = cv2.cvtColor(cv2.resize(pixels, (MAP, MAP), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    if grey.min() == grey.max():
        return np.zeros_like(grey, dtype=np.uint8)
    spectrum = np.fft.fft2(grey.astype(np.float64))
    amplitude = np.log(np.abs(spectrum) + 1e-9)  # some frequencies are not there at all
    residual = amplitude - cv2.blur(amplitude, (3, 3))
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(back, (0, 0), 2.5)  # of 64 pixels, as published
    return np.asarray(np.rint(255 * smooth / max(smooth.max(), 1e-12)), dtype=np.uint8)


def similarity(points: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn, scale and shift that bring ``points`` nearest to ``targets``, float64[2, 3] for ``cv2.warpAffine``.

    Least squares, without a reflection: Umeyama, PAMI 1991, in the plane, where complex numbers turn and scale. Both are
    float64[N, 2].
    """
    here, there = (np.ascontiguousarray(each).view(np.complex128)[:, 0] for each in (points, targets))
    turn = np.vdot(here - here.mean(), there - there.mean()) / np.sum(np.abs(here - here.mean()) ** 2)
    shift = there.mean() - turn * here.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def aligned(pixels: Pixels, face: Region, bucket: Bucket, *, margin: float) -> Upright:
    """``face`` upright with eyes, nose and mouth where ``TEMPLATE`` has them.

    The template fills the bucket's short side but for ``margin`` of itself on every side. What lies beyond the picture's
    edge is mirrored.
    """
    targets = _targets(bucket, margin=margin)
    points = np.array(face.landmarks, dtype=np.float64)
    scale = float(np.hypot(*similarity(points, targets)[:, 0]))
    if scale < 1:  # warpAffine takes single pixels, so a large face would come out jagged
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
        points = (points + 0.5) * scale - 0.5  # pixels have their centres at whole numbers
    turn = similarity(points, targets)
    warped = cv2.warpAffine(pixels, turn, bucket, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    middle = cv2.invertAffineTransform(turn) @ [(bucket[0] - 1) / 2, (bucket[1] - 1) / 2, 1]
    across, down = (float(each + 0.5) * max(1.0, scale) for each in middle)
    return Upright(np.ascontiguousarray(warped.astype(np.uint8)), scale, (across, down))


def _targets(bucket: Bucket, *, margin: float) -> NDArray[np.float64]:
    size = min(bucket) / (1 + 2 * margin)
    return np.array(TEMPLATE) * (size / SQUARE) + (np.array(bucket) - size) / 2


def _upright(pixels: Pixels, face: Region, bucket: Bucket, config: Config) -> Crop:
    """The crop of an aligned face. A turned picture has no left and top: its middle says where it was taken."""
    plain, scale, middle = aligned(pixels, face, bucket, margin=config.margin)
    height, width = pixels.shape[:2]
    left, top = round(middle[0] - bucket[0] / 2), round(middle[1] - bucket[1] / 2)
    return Crop(
        plain=plain,
        source=plain,
        window=Window(0, 0, *bucket),
        whole=Window(left, top, round(width * scale), round(height * scale)),
        lost=max(0.0, 1 - bucket[0] * bucket[1] / scale**2 / (width * height)),
    )


def _best(profile: NDArray[np.uint64], length: int, keep: int) -> int:
    """Where ``keep`` of ``length`` pixels hold most of ``profile``, which has ``MAP`` steps over the whole length."""
    total = np.concatenate([[0.0], np.cumsum(profile, dtype=np.float64)])
    starts = np.arange(length - keep + 1)
    ends = np.linspace(0, length, MAP + 1)
    held = np.round(np.interp(starts + keep, ends, total) - np.interp(starts, ends, total), 6)
    best = starts[held == held.max()]
    return int(best[np.argmin(np.abs(best - (length - keep) // 2))])
