"""An adapter in memory: which layers it changes and by how much, whatever its file calls them.

Shapes: O and I are a layer's features out and in, R the rank, K the side of a convolution's kernel. Strengths and
products are taken in float64; what goes into a file is float32.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stages.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

TEXT = "text_model."  # transformers 5 dropped this level of CLIPTextModel; the classic names have it


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One adapted layer: its weight W becomes V = W + (alpha / R) · up @ down (Hu et al., arXiv 2106.09685).

    With a magnitude m it becomes m · V / ‖V‖, the norm over all but the features out (DoRA, Liu et al., arXiv 2402.09353).
    rsLoRA's alpha / √R (Kalajdzievski, arXiv 2312.03732) is kept as an alpha of that strength.
    """

    down: "Tensor"  # peft's A: float[R, I] or float[R, I, K, K]
    up: "Tensor"  # peft's B: float[O, R] or float[O, R, 1, 1]
    alpha: float
    magnitude: "Tensor | None" = None  # float[O], of DoRA

    @property
    def rank(self) -> int:
        """R."""
        return int(self.down.shape[0])

    @property
    def strength(self) -> float:
        """What the product is multiplied by: alpha / R."""
        return self.alpha / self.rank

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of W."""
        return (int(self.up.shape[0]), *map(int, self.down.shape[1:]))

    def delta(self) -> "Tensor":
        """(alpha / R) · up @ down, float64 in the shape of W."""
        product = self.up.double().flatten(1) @ self.down.double().flatten(1)
        scaled: Tensor = self.strength * product
        return scaled.reshape(self.shape)

    def square(self) -> float:
        """‖ΔW‖² without making ΔW: the trace of (upᵀ up)(down downᵀ)."""
        up, down = self.up.double().flatten(1), self.down.double().flatten(1)
        return float(((up.T @ up) * (down @ down.T)).sum()) * self.strength**2

    def applied(self, weight: "Tensor", times: float = 1.0) -> "Tensor":
        """What ``weight`` becomes at ``times`` the strength, float64, as peft merges it."""
        changed = weight.double() + times * self.delta()
        if self.magnitude is None:
            return changed
        rows = (-1, *[1] * (changed.dim() - 1))
        norms = changed.flatten(1).norm(dim=1).reshape(rows)
        adapted: Tensor = self.magnitude.double().reshape(rows) * changed / norms
        return adapted


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """One layer of LoKr or LoHa: ΔW is (alpha / R) times the Kronecker or elementwise product of two matrices.

    Yeh et al., arXiv 2309.14859; Hyeon-Woo et al., arXiv 2108.06098. Such a layer is no sum of ranks: it can be inspected,
    converted and merged, and nothing else.
    """

    tensors: "Mapping[str, Tensor]"  # factors by the names that LyCORIS and peft share: ``lokr_w1``, ``hada_w1_a`` …
    alpha: float
    rank: int

    @property
    def strength(self) -> float:
        """What the product is multiplied by: alpha / R."""
        return self.alpha / self.rank

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``delta``."""
        return tuple(map(int, self.delta().shape))

    def delta(self) -> "Tensor":
        """The change of W, float64[O, ...]: a convolution's may lie flat."""
        import torch

        if "hada_w1_a" in self.tensors:
            return self.strength * self._factor("hada", 1) * self._factor("hada", 2)
        first, second = self._factor("lokr", 1), self._factor("lokr", 2)
        return self.strength * torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second)

    def square(self) -> float:
        """‖ΔW‖²."""
        return float(self.delta().square().sum())

    def applied(self, weight: "Tensor", times: float = 1.0) -> "Tensor":
        """What ``weight`` becomes at ``times`` the strength, float64."""
        return weight.double() + times * self.delta().reshape(weight.shape)

    def _factor(self, kind: str, number: int) -> "Tensor":
        """One of the two matrices that are multiplied, whole or of factors of its own."""
        import torch

        start = f"{kind}_w{number}"
        if start in self.tensors:
            return self.tensors[start].double()
        left, right = self.tensors[f"{start}_a"].double(), self.tensors[f"{start}_b"].double()
        core = self.tensors.get(f"{kind}_t{number}")
        return (
            left @ right if core is None else torch.einsum("ijkl,ip,jr->prkl", core.double(), left, right).contiguous()
        )


def refuse_half(factors: Iterable[str], *, where: str) -> None:
    """See that ``factors``, by the names of a LoKr's or LoHa's tensors, make two matrices.

    Raises:
        ModelError: when they do not; ``where`` names the layer.
    """
    found = set(factors)
    kind = "hada" if any(each.startswith("hada") for each in found) else "lokr"
    starts = [f"{kind}_w{number}" for number in (1, 2)]
    if not all(start in found or {f"{start}_a", f"{start}_b"} <= found for start in starts):
        raise ModelError(
            f"{where} has {', '.join(sorted(found))}; a LoKr or LoHa has {' and '.join(starts)}, or their parts"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """Any adapter. ``layers`` by the part of the pipeline and the module in it: ``unet.mid_block.resnets.0.conv1``."""

    layers: Mapping[str, Layer | Product]
    metadata: Mapping[str, str] = field(default_factory=dict)  # of its file, without what describes its shape


@dataclass(frozen=True, slots=True, eq=False)
class Lora:
    """An adapter all of whose layers are ``Layer``."""

    layers: Mapping[str, Layer]
    metadata: Mapping[str, str] = field(default_factory=dict)  # of its file, without what describes its shape


def classic(name: str) -> str:
    """``name`` of a layer with the level ``text_model`` that other programs expect in a CLIP text encoder."""
    part, _, module = name.partition(".")
    flat = part.startswith("text_encoder") and module.startswith("encoder.layers.")
    return f"{part}.{TEXT}{module}" if flat else name


def as_lora(adapter: Adapter) -> Lora:
    """``adapter``, when it is a LoRA or a DoRA.

    Raises:
        ModelError: when it is a LoKr or a LoHa.
    """
    layers = {name: layer for name, layer in adapter.layers.items() if isinstance(layer, Layer)}
    if len(layers) < len(adapter.layers):
        raise ModelError("a LoKr or LoHa is no LoRA; `merge` it into its base and `extract` from that")
    return Lora(layers, adapter.metadata)


def without_magnitudes(lora: Lora, *, to: str) -> Lora:
    """``lora``, when it can be added to others.

    Raises:
        ModelError: when it is a DoRA, whose change of a weight is no product of two small matrices. ``to`` says in a verb
            what was asked for.
    """
    if any(layer.magnitude is not None for layer in lora.layers.values()):
        raise ModelError(
            f"{to}: a DoRA is no sum and cannot be added up; `merge` it into its base and `extract` from that"
        )
    return lora


def one_shape(loras: Iterable[Lora]) -> None:
    """See that layers of the same name have the same shape.

    Raises:
        ModelError: with the first that do not.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for lora in loras:
        for name, layer in lora.layers.items():
            if shapes.setdefault(name, layer.shape) != layer.shape:
                raise ModelError(
                    f"{name}: is {shapes[name]} in one file and {layer.shape} in another; give adapters of one base model"
                )
