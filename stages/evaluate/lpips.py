"""LPIPS: how far apart two pictures are to the eye, by what a network trained on ImageNet sees of them.

Zhang et al., arXiv 1801.03924, version 0.1: the activations of five layers, each made a unit vector at every place; their
squared differences, weighted by a linear head per layer that was fitted to people's judgements; the mean over places, and
the sum over layers. No library has it without torchvision, so the layers are written out here. The heads ship with
torchmetrics and are the authors'; the network's weights are a file of the user's.

B is the batch, C the channels, H and W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages import machine
from stages.errors import ModelError
from stages.evaluate import published
from stages.evaluate.published import Published, Tensors
from stages.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Name = Literal["alex", "vgg"]


class Layer(NamedTuple):
    """A convolution of torchvision's ``features``, and the ReLU behind it."""

    number: int
    stride: int
    padding: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Blocks of layers; a head looks at the end of each."""

    window: int  # pixels: the side of the largest that is taken, every other pixel
    pooled: tuple[bool, ...]  # whether that is done before each block
    blocks: tuple[tuple[Layer, ...], ...]
    least: int  # pixels: the least side of which anything is left at the end
    heads: str  # SHA-256 of torchmetrics' file, which equals that of lpips 0.1.4


def _vgg(*numbers: int) -> tuple[Layer, ...]:
    return tuple(Layer(number, 1, 1) for number in numbers)


NETWORKS: dict[Name, Network] = {
    # Krizhevsky, arXiv 1404.5997
    "alex": Network(
        window=3,
        pooled=(False, True, True, False, False),
        blocks=((Layer(0, 4, 2),), (Layer(3, 1, 2),), (Layer(6, 1, 1),), (Layer(8, 1, 1),), (Layer(10, 1, 1),)),
        least=31,
        heads="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    # Simonyan and Zisserman, arXiv 1409.1556, with 16 layers
    "vgg": Network(
        window=2,
        pooled=(False, True, True, True, True),
        blocks=(_vgg(0, 2), _vgg(5, 7), _vgg(10, 12, 14), _vgg(17, 19, 21), _vgg(24, 26, 28)),
        least=16,
        heads="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
}
SHIFT, SCALE = (
    (-0.030, -0.088, -0.188),
    (0.458, 0.448, 0.450),
)  # ImageNet's mean and deviation for -1 to 1, the authors'
HEADS = "torchmetrics/functional/image/lpips_models"
EPSILON = 1e-10  # added to norms, the authors'; torchmetrics adds 1e-8 to their squares


class Lpips:
    """The distance by one network; its weights are read when it first sees two pictures."""

    def __init__(self, name: Name, weights: Published) -> None:
        self.network = NETWORKS[name]
        self.name = f"lpips_{name}"
        self.identity = f"lpips 0.1 {name} sha256:{weights.sha256}"
        self._kind, self._weights = name, weights

    def of(self, reals: Sequence[Pixels], others: Sequence[Pixels]) -> NDArray[np.float64]:
        """The distance of each pair of uint8[H, W, 3] of equal size, float64[N]: 0 for equal ones, seldom above 1.

        Raises:
            ModelError: when the weights cannot be had, or are another network's.
        """
        return np.array([self._distance(*pair) for pair in zip(reals, others, strict=True)])

    def takes(self, pictures: Sequence[Pixels]) -> bool:
        """Whether all of ``pictures`` are large enough."""
        return all(min(picture.shape[:2]) >= self.network.least for picture in pictures)

    def _distance(self, real: Pixels, other: Pixels) -> float:
        import torch

        with torch.inference_mode():
            pairs = zip(self._seen(real), self._seen(other), self._heads, strict=True)
            return sum(float((((one - two) ** 2) * head).sum(dim=1).mean()) for one, two, head in pairs)

    def _seen(self, pixels: Pixels) -> "Iterator[Tensor]":
        """The unit vectors at the end of each block, float32[1, C, h, w]."""
        for end_BCHW in activations(self.network, self._layers, model_input(pixels)):
            yield end_BCHW / ((end_BCHW**2).sum(dim=1, keepdim=True).sqrt() + EPSILON)

    @cached_property
    def _layers(self) -> Tensors:
        tensors = published.read(self._weights)
        for layer in (layer for block in self.network.blocks for layer in block):
            for kind in ("weight", "bias"):
                if f"features.{layer.number}.{kind}" not in tensors:
                    raise ModelError(
                        f"{self._weights.file}: lacks features.{layer.number}.{kind}, which {self._kind} has; "
                        f"give the file from {self._weights.url}"
                    )
        return tensors

    @cached_property
    def _heads(self) -> "list[Tensor]":
        """The weight of each channel, float32[1, C, 1, 1], for each block."""
        file = distribution("torchmetrics").locate_file(f"{HEADS}/{self._kind}.pth")
        where = Published(file=str(file), sha256=self.network.heads, url="the wheel of torchmetrics 1.9.0")
        found = published.read(where)
        return [found[f"lin{number}.model.1.weight"] for number in range(len(self.network.blocks))]


def activations(network: Network, layers: Tensors, image_BCHW: "Tensor") -> "Iterator[Tensor]":
    """What ``network`` with the weights ``layers`` has at the end of each block, float32[B, C, h, w]."""
    from torch.nn import functional

    for pooled, block in zip(network.pooled, network.blocks, strict=True):
        if pooled:
            image_BCHW = functional.max_pool2d(image_BCHW, network.window, stride=2)
        for number, stride, padding in block:
            weight, bias = layers[f"features.{number}.weight"], layers[f"features.{number}.bias"]
            image_BCHW = functional.conv2d(image_BCHW, weight, bias, stride, padding).relu()
        yield image_BCHW


def model_input(pixels: Pixels) -> Any:
    """``pixels``, uint8[H, W, 3], as the networks want them, float32[1, 3, H, W]; they are not resized."""
    import torch

    image_HWC = torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1
    scaled_HWC = (image_HWC - torch.tensor(SHIFT)) / torch.tensor(SCALE)
    return scaled_HWC.permute(2, 0, 1)[None].to(machine.device())
