"""What a LoRA file is and holds, for eyes and for programs."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.lora import about, files
from stages.lora.layers import Adapter, Layer, Product

WIDTH = 80  # columns
# Features into the cross-attention's keys, or of a transformer's stream, tell the family: their configurations.
_BY_WIDTH = {768: "sd15", 2048: "sdxl", 1536: "sd35", 2432: "sd35", 3072: "flux"}
_ARCHITECTURES = {
    "stable-diffusion-v1": "sd15",
    "stable-diffusion-xl": "sdxl",
    "stable-diffusion-3": "sd35",
    "flux-1": "flux",
}


def family(lora: Adapter) -> str:
    """The family that ``lora`` was made for, by its metadata, or else by its layers; empty when neither tells."""
    stated = lora.metadata.get("modelspec.architecture", "")
    known = next((name for start, name in _ARCHITECTURES.items() if stated.startswith(start)), "")
    if known:
        return known
    if any(name.startswith("transformer.single_transformer_blocks.") for name in lora.layers):
        return "flux"
    ends = (("attn2.to_k", "unet"), ("attn2.to_v", "unet"), ("attn.to_q", "transformer"), ("attn.to_k", "transformer"))
    widths = [
        layer.shape[1]
        for end, part in ends
        for name, layer in lora.layers.items()
        if name.startswith(f"{part}.") and name.endswith(end)
    ]
    return _BY_WIDTH.get(widths[0], "") if widths else ""


def facts(file: Path) -> dict[str, Any]:
    """All that is known of the LoRA in ``file``, as JSON has it.

    Raises:
        ModelError: when it is no LoRA, as ``files.read``.
    """
    lora = files.read(file)
    tensors, _ = files.contents(file)
    return {
        "file": file.name,
        "format": "kohya" if all(key.startswith("lora_") for key in tensors) else "diffusers",
        "kind": kind(lora),
        "family": family(lora),
        "layers": len(lora.layers),
        "weights": sum(tensor.numel() for tensor in tensors.values() if tensor.dim()),
        "ranks": sorted({layer.rank for layer in lora.layers.values()}),
        "alphas": sorted({round(layer.alpha, 6) for layer in lora.layers.values()}),
        "strengths": sorted({round(layer.strength, 6) for layer in lora.layers.values()}),
        "blocks": [{"block": block, **_block(layers)} for block, layers in _blocks(lora).items()],
        "metadata": dict(sorted(lora.metadata.items())),
    }


def kind(lora: Adapter) -> str:
    """What kind of adapter it is; of a LoRA or DoRA, whether convolutions are adapted, too."""
    products = [layer for layer in lora.layers.values() if isinstance(layer, Product)]
    if products:
        return "LoHa" if "hada_w1_a" in products[0].tensors else "LoKr"
    layers = [layer for layer in lora.layers.values() if isinstance(layer, Layer)]
    name = "DoRA" if any(layer.magnitude is not None for layer in layers) else "LoRA"
    spread = any(layer.down.dim() == 4 and max(layer.down.shape[2:]) > 1 for layer in layers)
    return f"{name} of linear layers and convolutions" if spread else f"{name} of linear layers"


def table(known: Mapping[str, Any]) -> str:
    """``known``, from ``facts``, in lines of at most 80 columns."""
    metadata = known["metadata"]
    lines = [
        *_line("file", known["file"]),
        *_line("kind", f"{known['kind']}, as {known['format']} writes it"),
        *_line("family", known["family"] or "not known"),
        *_line("base", metadata.get(about.BASE, "not stated")),
        *_line("layers", f"{known['layers']}, {known['weights']:,} weights"),
        *_line("rank", _span(known["ranks"])),
        *_line("alpha", _span(known["alphas"])),
        *_line("strength", f"{_span(known['strengths'])}, by which programs must multiply"),
        "",
        f"{'block':<38}{'layers':>7}{'rank':>7}{'strength':>13}{'norm of ΔW':>15}",
        *(_row(block) for block in known["blocks"]),
        "",
        *_line("licence", metadata.get(about.LICENCE, "not stated")),
        *_pictures(metadata),
        "",
        *(f"{key:<30}{value}" for key, value in metadata.items() if not key.startswith("darkroom.")),
    ]
    return "\n".join(_cut(line) for line in lines)


def _line(label: str, value: str) -> list[str]:
    """``value`` behind its label, in as many lines as it takes."""
    return textwrap.wrap(
        value, WIDTH, initial_indent=f"{label:<12}", subsequent_indent=" " * 12, break_on_hyphens=False
    )


def _pictures(metadata: Mapping[str, str]) -> list[str]:
    """By which licences it learned from how many pictures, what they ask for, and whom to name."""
    rows = about.pictures(metadata)
    names = Counter(licence for licence, _ in rows)
    counts = [f"{count} {name or 'licence unknown'}" for name, count in sorted(names.items())]
    told = [("pictures", each) for each in counts or ["not stated"]]
    told += [("duty", each) for each in about.duties(sorted(names))]
    told += [("credit", credit) for _, credit in rows]
    return [line for label, value in told for line in _line(label, value)]


def _blocks(lora: Adapter) -> dict[str, list[Layer | Product]]:
    """The layers by the block that they stand in."""
    found: dict[str, list[Layer | Product]] = {}
    for name, layer in sorted(lora.layers.items(), key=lambda pair: _natural(pair[0])):
        found.setdefault(_block_of(name.split(".")), []).append(layer)
    return found


def _block_of(words: Sequence[str]) -> str:
    """``unet.down_blocks.1``: up to the first number, and no further than that."""
    numbers = [place for place, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbers[0] + 1]) if numbers and numbers[0] <= 4 else ".".join(words[:2])


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdigit() else (-1, word) for word in name.split(".")]


def _block(layers: Sequence[Layer | Product]) -> dict[str, Any]:
    return {
        "layers": len(layers),
        "ranks": sorted({layer.rank for layer in layers}),
        "strengths": sorted({round(layer.strength, 6) for layer in layers}),
        "norm": math.sqrt(sum(layer.square() for layer in layers)),
    }


def _row(block: Mapping[str, Any]) -> str:
    return f"{block['block']:<38}{block['layers']:>7}{_span(block['ranks']):>7}{_span(block['strengths']):>13}{block['norm']:>15.4g}"


def _span(numbers: Sequence[float]) -> str:
    """The least and the greatest."""
    ends = [f"{number:g}" for number in (numbers[0], numbers[-1])]
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def _cut(line: str) -> str:
    return f"{line[: WIDTH - 2].rstrip()} …" if len(line) > WIDTH else line
