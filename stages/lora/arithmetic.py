"""Adapters added, shortened and taken from the difference of two models.

An adapter's change of a weight is ΔW = (alpha / R) · up @ down. All sums here are sums of ΔW: the mean of two ups and
the mean of two downs, which averaging checkpoints tensor by tensor gives, is no mean of their products. Factors side by
side give the exact sum, of as many ranks as both have together; a singular value decomposition in float64 then gives
the best of fewer ranks (Eckart and Young, 1936). Shapes: as in ``layers``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from stages.errors import ModelError
from stages.lora.layers import Layer, Lora, one_shape, without_magnitudes

if TYPE_CHECKING:
    from torch import Tensor

Method = Literal["ties", "dare_linear", "dare_ties", "magnitude_prune"]  # peft's, on whole ΔW
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many ranks are kept: at most ``rank``, and no more than hold the share ``energy`` of ‖ΔW‖²."""

    rank: int | None
    energy: float | None

    def count(self, singular: "Tensor") -> int:
        """How many of the ``singular`` values, falling, are kept; at least one."""
        import torch

        rank = len(singular) if self.rank is None else self.rank
        if self.energy is not None:
            squares = singular.square().cumsum(0)
            enough = int(torch.searchsorted(squares, self.energy * squares[-1] * (1 - 1e-12))) + 1
            rank = min(rank, enough)
        return max(1, min(rank, len(singular)))


WHOLE = Size(rank=None, energy=None)


def stacked(loras: Sequence[Lora], weights: Sequence[float]) -> Lora:
    """The exact sum of ``loras``, each times its weight: the rank of a layer is the sum of theirs.

    Raises:
        ModelError: when their layers differ in shape, or one is a DoRA.
    """
    one_shape(loras)
    names = sorted({name for lora in loras for name in without_magnitudes(lora, to="stack").layers})
    pairs = list(zip(loras, weights, strict=True))
    return Lora(
        {
            name: _side_by_side([(lora.layers[name], weight) for lora, weight in pairs if name in lora.layers])
            for name in names
        }
    )


def between(one: Lora, other: Lora, at: float) -> Lora:
    """The exact (1 - at) · ΔW of ``one`` + at · ΔW of ``other``, as ``stacked``: at 0 the one, at 1 the other."""
    return stacked([one, other], [1 - at, at])


def resized(lora: Lora, size: Size) -> tuple[Lora, float]:
    """``lora`` with fewer ranks, and the share of ‖ΔW‖, over all layers, by which it errs: 0 to 1.

    Raises:
        ModelError: when it is a DoRA.
    """
    pairs = {name: _shortened(layer, size) for name, layer in without_magnitudes(lora, to="resize").layers.items()}
    lost, whole = sum(each[1] for each in pairs.values()), sum(each[2] for each in pairs.values())
    return Lora({name: each[0] for name, each in pairs.items()}, lora.metadata), math.sqrt(
        lost / whole
    ) if whole else 0.0


def combined(loras: Sequence[Lora], weights: Sequence[float], size: Size, *, method: Method, density: float) -> Lora:
    """``loras`` merged by one of peft's methods on whole ΔW, then decomposed to ``size``.

    TIES (Yadav et al., arXiv 2306.01708) keeps the largest share ``density`` of each and the sign of the majority; DARE
    (Yu et al., arXiv 2311.03099) drops all but a share at random, drawn from torch's global generator, and scales up.

    Raises:
        ModelError: as ``stacked``.
    """
    import torch
    from peft.utils import merge_utils

    one_shape(loras)
    merge: Callable[..., Tensor] = getattr(merge_utils, method)
    names = sorted({name for lora in loras for name in without_magnitudes(lora, to="stack").layers})
    layers = {}
    for name in names:
        pairs = [
            (lora.layers[name], weight) for lora, weight in zip(loras, weights, strict=True) if name in lora.layers
        ]
        deltas = [layer.delta() for layer, _ in pairs]
        shares = torch.tensor([weight for _, weight in pairs], dtype=torch.float64)
        layers[name] = decomposed(merge(deltas, shares, density=density), size)
    return Lora(layers)


def extracted(differences: Mapping[str, "Tensor"], size: Size) -> tuple[Lora, float]:
    """The adapter whose ΔW are nearest to ``differences``, by layer, and the share of their norm by which it errs."""
    layers, lost, whole = {}, 0.0, 0.0
    for name, difference in differences.items():
        layers[name] = decomposed(difference, size)
        lost += float((difference - layers[name].delta()).square().sum())
        whole += float(difference.double().square().sum())
    return Lora(layers), math.sqrt(lost / whole) if whole else 0.0


def decomposed(delta: "Tensor", size: Size) -> Layer:
    """The layer of ``size`` whose ΔW is nearest to ``delta``, float[O, I] or float[O, I, K, K]. Its strength is 1."""
    import torch

    left, singular, right = torch.linalg.svd(delta.double().flatten(1), full_matrices=False)
    return _from_factors((left, singular, right), size.count(singular), tuple(delta.shape[1:]))


def _side_by_side(pairs: Sequence[tuple[Layer, float]]) -> Layer:
    import torch

    if len(pairs) == 1:
        layer, weight = pairs[0]
        return Layer(layer.down, layer.up, layer.alpha * weight)
    ups = [(layer.up.double() * layer.strength * weight).float() for layer, weight in pairs]
    downs = [layer.down.float() for layer, _ in pairs]
    return Layer(torch.cat(downs), torch.cat(ups, dim=1), float(sum(layer.rank for layer, _ in pairs)))


def _shortened(layer: Layer, size: Size) -> tuple[Layer, float, float]:
    """``layer`` of ``size``, the square of what was lost and of the whole. By QR of the factors: ΔW is never made."""
    import torch

    q_up, r_up = torch.linalg.qr(layer.up.double().flatten(1) * layer.strength)
    q_down, r_down = torch.linalg.qr(layer.down.double().flatten(1).T)
    left, singular, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
    kept = size.count(singular)
    squares = singular.square()
    found = _from_factors((q_up @ left, singular, right @ q_down.T), kept, tuple(layer.down.shape[1:]))
    return found, float(squares[kept:].sum()), float(squares.sum())


def _from_factors(factors: "tuple[Tensor, Tensor, Tensor]", rank: int, inside: tuple[int, ...]) -> Layer:
    """A layer of left · diag(singular) · right, the root of the singular values in each of its matrices."""
    left, singular, right = factors
    root = singular[:rank].sqrt()
    up = (left[:, :rank] * root).float()
    down = (root[:, None] * right[:rank]).float().reshape(rank, *inside)
    return Layer(down, up.reshape(*up.shape, *[1] * (down.dim() - 2)), float(rank))


def refuse_size(size: Size) -> None:
    """See that ``size`` says something.

    Raises:
        ModelError: when it does not, or says what cannot be.
    """
    if size == WHOLE:
        raise ModelError("how many ranks are to stay is not said; give --rank N, --energy SHARE, or both")
    if (size.rank is not None and size.rank < 1) or (size.energy is not None and not 0 < size.energy <= 1):
        raise ModelError("--rank is a whole number above 0, --energy a share above 0 and up to 1")
