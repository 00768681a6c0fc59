"""Inception v3 as the FID has it: the graph of 2015-12-05, whose features all published FIDs are of.

Szegedy et al., arXiv 1512.00567; Heusel et al., arXiv 1706.08500, took TensorFlow's graph of that day, which differs from
torchvision's network in its weights, in its input and in two kinds of pools: means leave the border's padding out, and the
last block has a maximum where the others have a mean. The layers have the names of pytorch-fid's file of weights, and their
widths are those of its tensors.

B is the batch, C the channels, H and W pixels.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from stages import machine
from stages.errors import ModelError
from stages.evaluate.published import Tensors
from stages.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 299  # pixels of its input
EPSILON = 1e-3  # of the normalisation, the graph's


class Network:
    """The layers with their weights."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def __call__(self, image_BCHW: "Tensor") -> "Tensor":
        """What it has before its last layer, float32[B, 2048], of ``image_BCHW``, float32[B, 3, 299, 299] of -1 to 1.

        Raises:
            ModelError: when a tensor is not there.
        """
        x = self._layer(image_BCHW, "Conv2d_1a_3x3", stride=2)
        x = _greatest(self._same(self._layer(x, "Conv2d_2a_3x3"), "Conv2d_2b_3x3"))
        x = _greatest(self._layer(self._layer(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"))
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._joined(x, block, ("1x1",), ("5x5_1", "5x5_2"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
        x = self._halved(x, "Mixed_6a", ("3x3",), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3"))
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            longest = tuple(f"7x7dbl_{number}" for number in range(1, 6))
            x = self._joined(x, block, ("1x1",), ("7x7_1", "7x7_2", "7x7_3"), longest)
        x = self._halved(x, "Mixed_7a", ("3x3_1", "3x3_2"), ("7x7x3_1", "7x7x3_2", "7x7x3_3", "7x7x3_4"))
        x = self._split(x, "Mixed_7b", _mean(x))
        x = self._split(x, "Mixed_7c", _greatest(x, stride=1, padding=1))
        return x.mean(dim=(2, 3))

    def _joined(self, x: "Tensor", block: str, *branches: tuple[str, ...]) -> "Tensor":
        """The ends of all branches, and a mean of each place's surroundings."""
        ends = [self._through(x, block, branch) for branch in branches]
        return _beside(*ends, self._through(_mean(x), block, ("_pool",)))

    def _halved(self, x: "Tensor", block: str, *branches: tuple[str, ...]) -> "Tensor":
        """The ends of all branches, the last layer of each at every other place, and a maximum."""
        ends = [
            self._layer(self._through(x, block, inner), f"{block}.branch{last}", stride=2) for *inner, last in branches
        ]
        return _beside(*ends, _greatest(x))

    def _split(self, x: "Tensor", block: str, pooled: "Tensor") -> "Tensor":
        """The ends of branches of which two end twice, wide and high."""
        short, long = (self._through(x, block, names) for names in (("3x3_1",), ("3x3dbl_1", "3x3dbl_2")))
        ends = [(short, "3x3_2a"), (short, "3x3_2b"), (long, "3x3dbl_3a"), (long, "3x3dbl_3b"), (pooled, "_pool")]
        return _beside(self._through(x, block, ("1x1",)), *(self._through(of, block, (name,)) for of, name in ends))

    def _through(self, x: "Tensor", block: str, names: Iterable[str]) -> "Tensor":
        """``x`` through one layer after the other, at its size."""
        for name in names:
            x = self._same(x, f"{block}.branch{name}")
        return x

    def _same(self, x: "Tensor", name: str) -> "Tensor":
        height, width = self._tensor(f"{name}.conv.weight").shape[2:]
        return self._layer(x, name, padding=(height // 2, width // 2))

    def _layer(self, x: "Tensor", name: str, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> "Tensor":
        """A convolution, normalised, and its positive part."""
        from torch.nn import functional

        made = functional.conv2d(x, self._tensor(f"{name}.conv.weight"), None, stride, padding)
        mean, variance, scale, shift = (
            self._tensor(f"{name}.bn.{each}") for each in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(made, mean, variance, scale, shift, eps=EPSILON).relu()

    def _tensor(self, name: str) -> "Tensor":
        if name not in self._tensors:
            raise ModelError(f"weights of Inception: lack {name}; give pytorch-fid's file, or its tensors by its names")
        return self._tensors[name]


def model_input(pixels: Pixels) -> Any:
    """``pixels``, uint8[H, W, 3], as the graph wants them, float32[1, 3, 299, 299]: stretched, and (x - 128) / 128.

    The resizing is that of TensorFlow 1, by which FIDs were published: bilinear, from the corner of the first pixel and
    not from its middle, and without antialiasing. pytorch-fid and torchmetrics resize otherwise, torch-fidelity so.
    """
    import torch

    image_CHW = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    for axis in (2, 1):
        image_CHW = _stretched(image_CHW, axis)
    return ((image_CHW - 128) / 128)[None].to(machine.device())


def _stretched(image_CHW: "Tensor", axis: int) -> "Tensor":
    """Linear between the two pixels around each of ``SIDE`` places along ``axis``."""
    import torch

    count = image_CHW.shape[axis]
    places = torch.arange(SIDE, dtype=torch.float32) * torch.tensor(count / SIDE, dtype=torch.float32)
    before = places.long()
    shares = (places - before).view([-1 if each == axis else 1 for each in range(3)])
    here, there = (image_CHW.index_select(axis, each) for each in (before, (before + 1).clamp_max(count - 1)))
    return here + (there - here) * shares


def _mean(x: "Tensor") -> "Tensor":
    from torch.nn import functional

    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _greatest(x: "Tensor", *, stride: int = 2, padding: int = 0) -> "Tensor":
    from torch.nn import functional

    return functional.max_pool2d(x, 3, stride=stride, padding=padding)


def _beside(*parts: "Tensor") -> "Tensor":
    import torch

    return torch.cat(parts, dim=1)
