"""Parts that find regions in a picture: one file each. A detector that needs weights says where they come from."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.errors import ModelError
from stages.images import Pixels
from stages.records import Region

T = TypeVar("T")
Tensor = NDArray[np.float32]

_THREAD = local()


class Detector(Protocol):
    """Finds what it is made for, in an order that does not change."""

    def __call__(self, pixels: Pixels) -> tuple[Region, ...]:
        """The regions in ``pixels``, uint8[H, W, 3] RGB, sorted by top, left and width."""
        ...


def in_order(regions: Iterable[Region]) -> tuple[Region, ...]:
    """``regions`` as every detector gives them: sorted by top, left, width and what is left."""
    return tuple(sorted(regions, key=lambda each: (each.top, each.left, each.width, each.height, each.score)))


def overlap(one: Region, other: Region) -> float:
    """Intersection over union of two regions, 0 to 1."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(0, across) * max(0, down)
    both = one.width * one.height + other.width * other.height - shared
    return shared / both if both else 0.0


def strongest(regions: Iterable[Region], *, above: float) -> tuple[Region, ...]:
    """Of regions that overlap by more than ``above`` the one with the highest score (greedy non-maximum suppression)."""
    kept: list[Region] = []
    for region in sorted(in_order(regions), key=lambda each: -each.score):
        if all(overlap(region, other) <= above for other in kept):
            kept.append(region)
    return in_order(kept)


def shrunk(pixels: Pixels, *, side: int) -> tuple[Pixels, float]:
    """``pixels`` at a long side of at most ``side``, and by what they were multiplied."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1:
        return pixels, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8), scale


def padded(pixels: Pixels, *, multiple: int) -> Pixels:
    """``pixels`` with black below and to the right, up to the next ``multiple`` of pixels."""
    down, right = (-side % multiple for side in pixels.shape[:2])
    return np.pad(pixels, ((0, down), (0, right), (0, 0)))


def placed(
    box: Sequence[float], score: float, landmarks: Iterable[Sequence[float]], *, scale: float, pixels: Pixels
) -> Region:
    """The region at ``box`` (left, top, right, bottom), found when ``pixels`` were multiplied by ``scale``.

    In whole pixels, cut at the edges. Coarse figures hide the last bits in which processors differ.
    """
    height, width = pixels.shape[:2]
    edges = [min(max(0, round(float(each) / scale)), most) for each, most in zip(box, (width, height) * 2, strict=True)]
    return Region(
        left=edges[0],
        top=edges[1],
        width=edges[2] - edges[0],
        height=edges[3] - edges[1],
        score=round(min(1.0, float(score)), 3),
        landmarks=tuple((round(float(x) / scale, 1), round(float(y) / scale, 1)) for x, y in landmarks),
    )


def in_wheel(package: str, file: str) -> Path:
    """Where ``file`` lies in the installed ``package``, which is not imported; below nothing when it is not installed."""
    found = find_spec(package)
    folders = found.submodule_search_locations if found else None
    return Path(next(iter(folders or [""]))) / file


def weights(file: Path, *, sha256: str, where: str, cure: str) -> bytes:
    """The content of ``file``, which must have the digest ``sha256``; ``cure`` ends the messages.

    Raises:
        ModelError: when there is no such file, or it is another one.
    """
    if not file.is_file():
        raise ModelError(f"{where}: its weights {file.name} are not there; {cure}")
    content = file.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModelError(f"{where}: {file.name} has the SHA-256 {digest} and not {sha256}; {cure}")
    return content


def network(onnx: bytes, outputs: Sequence[str]) -> Callable[[Tensor], list[Tensor]]:
    """What runs the network ``onnx`` on a batch, float32[B, C, H, W], by OpenCV, and gives ``outputs``.

    The result is the same to the bit whatever the number of OpenCV's threads.
    """

    def run(batch_BCHW: Tensor) -> list[Tensor]:
        net = of_thread(_net, onnx)
        net.setInput(batch_BCHW)
        return list(net.forward(list(outputs)))

    return run


def of_thread(make: Callable[..., T], *arguments: Hashable) -> T:
    """What ``make(*arguments)`` gives, made once in each thread: OpenCV's networks keep their input.

    A detector that asks for its network here can be given to another process, where a network itself could not.
    """
    made: dict[Hashable, T] = _THREAD.__dict__.setdefault("made", {})
    key = (make, *arguments)
    if key not in made:
        made[key] = make(*arguments)
    return made[key]


def _net(onnx: bytes) -> Any:
    return cv2.dnn.readNetFromONNX(np.frombuffer(onnx, dtype=np.uint8))
