"""The names and strengths of kohya's format, which ComfyUI, Forge, A1111 and sd-scripts load.

A layer is ``lora_unet_…`` or ``lora_te…``, then its module with underscores; ``.lora_down.weight``, ``.lora_up.weight``
and ``.alpha`` follow. These programs multiply by alpha / rank, and by 1 where there is no alpha. SD 3.5 and Flux go by
the names of their original code, in which one layer holds queries, keys and values: their adapters stand in it as
blocks, which is exact.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stages.errors import ModelError
from stages.lora.layers import Layer, Product, refuse_half

if TYPE_CHECKING:
    from torch import Tensor

DOWN, UP, ALPHA, DORA = "lora_down.weight", "lora_up.weight", "alpha", "dora_scale"
Weights = Callable[[str], "Tensor"]  # the base's weight of a layer, by its name
_ENCODERS = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_", "text_encoder_3": "lora_te3_"}
_QKV, _ADDED = ("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj")
# Module inside its block to the original's name, by the pattern of the block: a tuple stands for one fused layer.
_CONTEXT_NORM = "context_block_adaLN_modulation_1"
_FLUX: dict[str, tuple[str, dict[str | tuple[str, ...], str]]] = {
    "transformer_blocks": (
        "double_blocks",
        {
            tuple(f"attn.{name}" for name in _QKV): "img_attn_qkv",
            tuple(f"attn.{name}" for name in _ADDED): "txt_attn_qkv",
            "attn.to_out.0": "img_attn_proj",
            "attn.to_add_out": "txt_attn_proj",
            "ff.net.0.proj": "img_mlp_0",
            "ff.net.2": "img_mlp_2",
            "ff_context.net.0.proj": "txt_mlp_0",
            "ff_context.net.2": "txt_mlp_2",
            "norm1.linear": "img_mod_lin",
            "norm1_context.linear": "txt_mod_lin",
        },
    ),
    "single_transformer_blocks": (
        "single_blocks",
        {
            (*(f"attn.{name}" for name in _QKV), "proj_mlp"): "linear1",
            "proj_out": "linear2",
            "norm.linear": "modulation_lin",
        },
    ),
}
_SD35: dict[str, tuple[str, dict[str | tuple[str, ...], str]]] = {
    "transformer_blocks": (
        "joint_blocks",
        {
            tuple(f"attn.{name}" for name in _QKV): "x_block_attn_qkv",
            tuple(f"attn2.{name}" for name in _QKV): "x_block_attn2_qkv",
            tuple(f"attn.{name}" for name in _ADDED): "context_block_attn_qkv",
            "attn.to_out.0": "x_block_attn_proj",
            "attn2.to_out.0": "x_block_attn2_proj",
            "attn.to_add_out": "context_block_attn_proj",
            "ff.net.0.proj": "x_block_mlp_fc1",
            "ff.net.2": "x_block_mlp_fc2",
            "ff_context.net.0.proj": "context_block_mlp_fc1",
            "ff_context.net.2": "context_block_mlp_fc2",
            "norm1.linear": "x_block_adaLN_modulation_1",
            "norm1_context.linear": _CONTEXT_NORM,
        },
    ),
}
_TRANSFORMERS = {"flux": _FLUX, "sd35": _SD35}
# And of the layers in no block. Diffusers' last normalisation has its halves the other way round, so it is not here.
_OUTSIDE = {
    "flux": {
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_text_embed.timestep_embedder.linear_1": "time_in_in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in_out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in_in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in_out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in_in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in_out_layer",
        "proj_out": "final_layer_linear",
    },
    "sd35": {
        "context_embedder": "context_embedder",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder_mlp_0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder_mlp_2",
        "time_text_embed.text_embedder.linear_1": "y_embedder_mlp_0",
        "time_text_embed.text_embedder.linear_2": "y_embedder_mlp_2",
        "proj_out": "final_layer_linear",
    },
}
_TIMES = {"proj_mlp": 4}  # features out of a part of a fused layer, in those of its queries
# Names with an underscore of their own; all other underscores of a U-Net's or CLIP's layer stand for dots.
_WORDS = re.compile(
    "(down_blocks|up_blocks|mid_block|transformer_blocks|to_q|to_k|to_v|to_out|proj_in|proj_out|time_emb_proj|"
    "conv_shortcut|conv_in|conv_out|time_embedding|add_embedding|linear_1|linear_2|text_model|text_projection|self_attn|"
    "q_proj|k_proj|v_proj|out_proj|wi_0|wi_1)"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layer stands in a file: a name, and which of the parts that the name's layer is made of."""

    name: str
    part: int
    parts: tuple[str, ...]  # layers, in their order from the top row of the weight


def to_kohya(layers: Mapping[str, Layer | Product], family: str, weights: Weights | None = None) -> dict[str, "Tensor"]:
    """``layers`` in kohya's format for ``family``, float32. A DoRA needs ``weights``, the base's.

    Raises:
        ModelError: when the format has no name for a layer, or a DoRA comes without its base.
    """
    gathered: dict[str, tuple[_Place, dict[int, Layer]]] = {}
    found: dict[str, Tensor] = {}
    for name, product in layers.items():
        if isinstance(product, Product):
            found |= {f"{_product_name(name, family)}.{end}": value for end, value in _factors(product).items()}
    plain = {name: layer for name, layer in layers.items() if isinstance(layer, Layer)}
    for name, layer in _with_common_alphas(plain).items():
        place = _place(name, family)
        gathered.setdefault(place.name, (place, {}))[1][place.part] = layer
    for place, parts in gathered.values():
        layer = _ordered(place.name, parts[0]) if len(place.parts) == 1 else _fused(parts, place.parts)
        found |= {f"{place.name}.{end}": value for end, value in _named(layer).items()}
        if any(part.magnitude is not None for part in parts.values()):
            found[f"{place.name}.{DORA}"] = _dora_scale(place.parts, parts, weights)
    return found


def from_kohya(tensors: Mapping[str, "Tensor"], *, where: str) -> dict[str, Layer | Product]:
    """The layers that stand in a file in kohya's format; ``where`` names it in messages.

    Raises:
        ModelError: when there is a tensor that is no part of a LoRA, or a DoRA.
    """
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, end = key.partition(".")
        by_name.setdefault(name, {})[end] = value
    found: dict[str, Layer | Product] = {}
    for name, ends in by_name.items():
        if is_product(ends):
            factors = {end: value for end, value in ends.items() if end != ALPHA}
            refuse_half(factors, where=f"{where}: {name}")
            found[_parts(name)[0]] = Product(factors, *_product_strength(ends))
        else:
            found |= _split(name, _layer(name, ends, where))
    return found


def is_product(ends: Mapping[str, object]) -> bool:
    """Whether tensors by these names are factors of a LoKr or LoHa."""
    return any(end.startswith(("lokr_w", "lokr_t", "hada_w", "hada_t")) for end in ends)


def inner_rank(factors: "Mapping[str, Tensor]") -> int:
    """The rank by which programs divide an alpha; 0 for a LoKr of two whole matrices, whose alpha they ignore."""
    inner = [factors[end] for end in ("hada_w1_b", "lokr_w2_b", "lokr_w1_b") if end in factors]
    return int(inner[0].shape[0]) if inner else 0


def _product_strength(ends: "Mapping[str, Tensor]") -> tuple[float, int]:
    """Alpha and rank of a LoKr or LoHa in a file."""
    rank = inner_rank(ends)
    return (float(ends[ALPHA]), rank) if rank and ALPHA in ends else (float(rank or 1), rank or 1)


def _product_name(name: str, family: str) -> str:
    """A fused layer cannot hold a product: there the names of OneTrainer stand, which ComfyUI knows, too."""
    part, _, module = name.partition(".")
    return f"lora_transformer_{module.replace('.', '_')}" if part == "transformer" else _place(name, family).name


def _factors(product: Product) -> "dict[str, Tensor]":
    """The factors with the strength moved into the first: the alpha of a LoKr of two whole matrices is ignored."""
    import torch

    first = next(end for end in ("lokr_w1", "lokr_w1_a", "hada_w1_a") if end in product.tensors)
    scaled = (product.tensors[first].double() * product.strength).float()
    alpha = torch.tensor(float(inner_rank(product.tensors) or 1), dtype=torch.float32)
    return {**product.tensors, first: scaled, ALPHA: alpha}


def _layer(name: str, ends: Mapping[str, "Tensor"], where: str) -> Layer:
    if DORA in ends:
        raise ModelError(
            f"{where}: {name} has a {DORA}, which each program reads in its own way; give the DoRA's diffusers file"
        )
    if not ends.keys() >= {DOWN, UP} or ends.keys() - {DOWN, UP, ALPHA}:
        raise ModelError(f"{where}: {name} has {', '.join(sorted(ends))}; a LoRA has {DOWN}, {UP} and {ALPHA}")
    alpha = float(ends[ALPHA]) if ALPHA in ends else float(ends[DOWN].shape[0])
    return Layer(ends[DOWN], ends[UP], alpha)


def _with_common_alphas(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """``layers`` of the same strength with one alpha for each part: the most frequent one, what differs moved into ``up``.

    Diffusers 0.42 loses an alpha of kohya's format that only some layers have.
    """
    found = dict(layers)
    for part in {name.partition(".")[0] for name in layers}:
        names = [name for name in layers if name.startswith(f"{part}.")]
        alpha = Counter(layers[name].alpha for name in names).most_common(1)[0][0]
        for name in names:
            if (layer := layers[name]).alpha != alpha:
                found[name] = replace(layer, up=(layer.up.double() * (layer.alpha / alpha)).float(), alpha=alpha)
    return found


def _named(layer: Layer) -> dict[str, "Tensor"]:
    import torch

    return {DOWN: layer.down.float(), UP: layer.up.float(), ALPHA: torch.tensor(layer.alpha, dtype=torch.float32)}


def _place(name: str, family: str) -> _Place:
    part, _, module = name.partition(".")
    if part == "transformer":
        return _transformer_place(module, family)
    start = {"unet": "lora_unet_", **_ENCODERS}.get(part, "")
    if not start:
        raise ModelError(f"{name}: kohya's format has no name for a layer of {part}; train other layers")
    if part == "text_encoder" and family in ("sd15", "tiny"):
        start = "lora_te_"
    return _Place(start + module.replace(".", "_"), 0, (name,))


def _transformer_place(module: str, family: str) -> _Place:
    if outside := _OUTSIDE.get(family, {}).get(module):
        return _Place(f"lora_unet_{outside}", 0, (f"transformer.{module}",))
    blocks, number, rest = (*module.split(".", 2), "", "")[:3]
    block, names = _TRANSFORMERS.get(family, {}).get(blocks, ("", {}))
    for inner, outer in names.items():
        parts = (inner,) if isinstance(inner, str) else inner
        if rest in parts:
            whole = tuple(f"transformer.{blocks}.{number}.{each}" for each in parts)
            return _Place(f"lora_unet_{block}_{number}_{outer}", parts.index(rest), whole)
    raise ModelError(
        f"transformer.{module}: kohya's format has no name for it in the family {family}; train other layers"
    )


def _fused(parts: Mapping[int, Layer], names: Sequence[str]) -> Layer:
    """One layer whose blocks are ``parts``; where one is missing its rows are zero."""
    import torch

    present = [parts[index] for index in sorted(parts)]
    strengths = {layer.strength for layer in present}
    common = strengths.pop() if len(strengths) == 1 else 1.0
    rank = sum(layer.rank for layer in present)
    up = torch.zeros(sum(_sizes(parts, names)), rank)
    top = left = 0
    for index, size in enumerate(_sizes(parts, names)):
        if layer := parts.get(index):
            up[top : top + size, left : left + layer.rank] = (layer.up.double() * (layer.strength / common)).float()
            left += layer.rank
        top += size
    return Layer(torch.cat([layer.down for layer in present]), up, common * rank)


def _ordered(name: str, layer: Layer) -> Layer:
    """``layer`` as the other side has it: of SD 3.5's last normalisation of words, shift and scale have changed places.

    It alone has just these two, as many each as there are features in.
    """
    import torch

    if not name.endswith(_CONTEXT_NORM) or layer.up.shape[0] != 2 * layer.down.shape[1]:
        return layer
    return replace(layer, up=torch.cat(layer.up.chunk(2)[::-1]))


def _sizes(parts: Mapping[int, Layer], names: Sequence[str]) -> list[int]:
    """The features out of each part of a fused layer, from those that are there."""
    times = [_times(name) for name in names]
    index, layer = next(iter(parts.items()))
    unit = int(layer.up.shape[0]) // times[index]
    return [unit * each for each in times]


def _times(name: str) -> int:
    return _TIMES.get(name.rsplit(".", 1)[-1], 1)


def _dora_scale(names: Sequence[str], parts: Mapping[int, Layer], weights: Weights | None) -> "Tensor":
    """DoRA's m as m ‖W‖ / ‖V‖: ComfyUI multiplies V by that and divides by ‖W‖, where DoRA divides by ‖V‖.

    float32[O, 1], or [O, 1, 1, 1] of a convolution. A part of a fused layer that is not adapted has ‖W‖, so it stays.
    """
    import torch

    if weights is None:
        raise ModelError(
            "a DoRA can be converted only with the base model that it was trained on; give its folder, too"
        )
    scales, dimensions = [], 2
    for index, name in enumerate(names):
        weight, layer = weights(name).double(), parts.get(index)
        norm = weight.flatten(1).norm(dim=1)
        dimensions = weight.dim()
        if layer is not None and layer.magnitude is not None:
            changed = (weight + layer.delta()).flatten(1).norm(dim=1)
            norm = layer.magnitude.double().flatten() * norm / changed
        scales.append(norm)
    return torch.cat(scales).reshape(-1, *[1] * (dimensions - 1)).float()


def _split(name: str, layer: Layer) -> Iterator[tuple[str, Layer]]:
    """The layers of the pipeline that the file's layer ``name`` stands for."""
    parts = _parts(name)
    if len(parts) == 1:
        yield parts[0], _ordered(name, layer)
        return
    times = [_times(part) for part in parts]
    unit, top = int(layer.up.shape[0]) // sum(times), 0
    for part, size in zip(parts, (unit * each for each in times), strict=True):
        rows = layer.up[top : top + size]
        used = rows.flatten(1).ne(0).any(dim=0)
        if bool(used.any()):
            yield part, Layer(layer.down[used], rows[:, used], layer.strength * int(used.sum()))
        top += size


def _parts(name: str) -> tuple[str, ...]:
    """The layers of the pipeline that ``name``, of a file, holds."""
    found = re.fullmatch(r"lora_(unet|te[123]?)_(.+)", name)
    if not found:
        return (name,)
    kind, rest = found.groups()
    if kind != "unet":
        part = "text_encoder" if kind in ("te", "te1") else f"text_encoder_{kind[-1]}"
        return (f"{part}.{_dotted(rest)}",)
    for block, number, outer in re.findall(r"^(double_blocks|single_blocks|joint_blocks)_(\d+)_(.+)$", rest):
        return _transformer_parts(block, number, outer)
    outside = {outer: inner for names in _OUTSIDE.values() for inner, outer in names.items()}
    return (f"transformer.{outside[rest]}" if rest in outside else f"unet.{_dotted(rest)}",)


def _transformer_parts(block: str, number: str, outer: str) -> tuple[str, ...]:
    for blocks, (original, names) in [*_FLUX.items(), *_SD35.items()]:
        for inner, its_name in names.items():
            if (original, its_name) == (block, outer):
                parts = (inner,) if isinstance(inner, str) else inner
                return tuple(f"transformer.{blocks}.{number}.{each}" for each in parts)
    raise ModelError(f"lora_unet_{block}_{number}_{outer}: is no layer of SD 3.5 or Flux that is known here")


def _dotted(module: str) -> str:
    """``down_blocks_0_attentions_1_proj_in`` as ``down_blocks.0.attentions.1.proj_in``."""
    return "".join(
        piece if number % 2 else piece.replace("_", ".") for number, piece in enumerate(_WORDS.split(module))
    )
