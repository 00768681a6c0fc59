"""What a model sees in pictures, by an input of our own, and kept in the cache folder: no picture is looked at twice.

The input is not that of transformers' image processors, whose pixels hang on which of two libraries is installed. C is
3, RGB.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import machine, memory
from stages.errors import ModelError
from stages.images import Pixels
from stages.vision import Eye, Sight

INPUT = "antialiased bicubic 1"  # another number when ``model_input`` changes: features then are others


class Seen:
    """An ``Embedder`` of what a model sees, which is loaded when it first sees a picture that is not remembered."""

    def __init__(self, kind: str, sight: Sight) -> None:
        self._kind, self.sight = kind, sight

    @cached_property
    def identity(self) -> str:
        """See ``Embedder``."""
        return f"{self._kind} {self.sight.identity} {INPUT}"

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """See ``Embedder``."""
        return remembered(self.identity, pictures, self._look)

    def _look(self, pixels: Pixels) -> Any:
        return self.sight.vector(model_input(pixels, self.sight.eye))


def remembered(identity: str, pictures: Sequence[Pixels], look: Callable[[Pixels], Any]) -> NDArray[np.float64]:
    """float64[N, D]: what ``look`` gives for each picture, a float tensor[D], from the cache folder where it lies there.

    It looks at one picture at a time, so a neighbour changes no bit.
    """
    how = json.dumps([identity, *_surroundings()])
    return np.stack([_of_picture(how, picture, look) for picture in pictures])


def model_input(pixels: Pixels, eye: Eye) -> Any:
    """``pixels``, uint8[H, W, 3], as the model of ``eye`` wants them, float32[1, C, h, w].

    The short side is resized to what the model's image processor names, by antialiased cubic interpolation in float; the
    middle square is cut out of that and normalised by the processor's mean and deviation. It is the "clean" resizing of
    Parmar et al., arXiv 2104.11222; without antialiasing pixels were seen to differ by up to 111 grey levels.

    Raises:
        ModelError: when the model wants anything but a square of a picture with a given short side.
    """
    import torch

    side, square = _sizes(eye.images)
    height, width = pixels.shape[:2]
    size = (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
    image_CHW = resized(torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1), size)
    top, left = (size[0] - square) // 2, (size[1] - square) // 2
    cut_CHW = image_CHW[:, top : top + square, left : left + square] / 255
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (eye.images.image_mean, eye.images.image_std))
    return ((cut_CHW - mean) / deviation)[None].to(machine.device())


def resized(image_CHW: Any, size: tuple[int, int]) -> Any:
    """``image_CHW``, float32 of 0 to 255, as float32[C, *size] of the same: what Pillow makes of each channel in float."""
    from torch.nn.functional import interpolate

    made = interpolate(image_CHW[None], size, mode="bicubic", antialias=True, align_corners=False)
    return made[0].clamp(0, 255)


def _sizes(images: Any) -> tuple[int, int]:
    """The short side that ``images``, an image processor, resizes to, and the side of the square that it cuts out."""
    side, crop = images.size["shortest_edge"], images.crop_size
    if not side or not crop or crop["height"] != crop["width"] or crop["height"] > side:
        raise ModelError(
            f"image processor with size {images.size} and crop_size {crop}: cuts no square out of a picture with a "
            "given shortest_edge; choose a CLIP or DINOv2 that does"
        )
    return side, crop["height"]


def _of_picture(how: str, pixels: Pixels, look: Callable[[Pixels], Any]) -> NDArray[np.float64]:
    key = hashlib.sha256(json.dumps([how, pixels.shape]).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
    file = memory.place(machine.cache("features"), key)
    known = memory.recalled(file)
    if known is None:
        known = look(pixels).float().cpu().numpy().tobytes()
        memory.keep(file, known)
    return np.frombuffer(known, dtype=np.float32).astype(np.float64)


def _surroundings() -> list[str | int]:
    """What the last bits hang on beside model and picture."""
    import torch

    device = machine.device()
    processor = torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability()
    return [version("torch"), version("transformers"), device, str(processor), torch.get_num_threads()]
