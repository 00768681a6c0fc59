"""``python -m stages.lora COMMAND``: look into LoRA files, and do arithmetic on them.

A FILE is a LoRA's safetensors file in diffusers' or kohya's format; FILE=0.5 takes it at half its strength. Results are
in diffusers' format; ``convert`` changes that.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.errors import DarkroomError, ModelError
from stages.lora import about, arithmetic, files, inspection
from stages.lora.arithmetic import WHOLE, Size
from stages.lora.folders import Folder
from stages.lora.layers import Adapter, Lora, as_lora

log = logging.getLogger("stages")
Given = argparse.Namespace
FAMILIES = ("sd15", "sdxl", "sd35", "flux")


def main(arguments: Sequence[str]) -> int:
    """Do what ``arguments`` say; 1 when the user has something to put right."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = _parser().parse_args(arguments)
    try:
        sys.stdout.write(f"{COMMANDS[given.command](given)}\n")
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    return 0


def merge(given: Given) -> str:
    """Fold adapters into a base model's folder."""
    pairs = [(files.read(file), weight) for file, weight in map(_weighed, given.files)]
    Folder(given.base).merged(pairs, given.out)
    return f"{given.out}: {given.base} with {len(pairs)} folded in"


def stack(given: Given) -> str:
    """Add adapters up into one file, exactly, or by a method of merging."""
    pairs = [(as_lora(files.read(file)), weight) for file, weight in map(_weighed, given.files)]
    loras, weights = [lora for lora, _ in pairs], [weight for _, weight in pairs]
    size = Size(rank=given.rank, energy=given.energy)
    if given.method == "sum":
        return _left(given.out, arithmetic.stacked(loras, weights), size, loras)
    arithmetic.refuse_size(size)
    if not 0 < given.density <= 1:
        raise ModelError("--density is a share above 0 and up to 1")
    import torch

    torch.manual_seed(given.seed)
    merged = arithmetic.combined(loras, weights, size, method=given.method, density=given.density)
    return _left(given.out, merged, WHOLE, loras)


def resize(given: Given) -> str:
    """Give an adapter fewer ranks."""
    size = Size(rank=given.rank, energy=given.energy)
    arithmetic.refuse_size(size)
    lora = as_lora(files.read(given.file))
    return _left(given.out, lora, size, [lora])


def extract(given: Given) -> str:
    """Make an adapter of the difference of two models."""
    size = Size(rank=given.rank, energy=given.energy)
    arithmetic.refuse_size(size)
    found = dict(Folder(given.base).differences(Folder(given.tuned)))
    differences = {name: difference for name, difference in found.items() if difference is not None}
    if not differences:
        raise ModelError(f"{given.tuned}: no layer differs from {given.base}; give a model that was tuned")
    lora, error = arithmetic.extracted(differences, size)
    files.write(given.out, Lora(lora.layers))
    left_out = len(found) - len(differences)
    rest = f"; {left_out} differing norms, biases or tables of words are no part of it" if left_out else ""
    return f"{_said(given.out, lora)}; off by {error:.2%} of the difference{rest}"


def interpolate(given: Given) -> str:
    """Go a part of the way from one adapter to another."""
    one, other = as_lora(files.read(given.one)), as_lora(files.read(given.other))
    size = Size(rank=given.rank, energy=given.energy)
    return _left(given.out, arithmetic.between(one, other, given.at), size, [one, other])


def convert(given: Given) -> str:
    """Write an adapter in the other format."""
    lora = files.read(given.file)
    if given.to == "diffusers":
        files.write(given.out, as_lora(lora))
    else:
        family = given.family or inspection.family(lora)
        if not family:
            raise ModelError(f"{given.file}: does not tell its family; give --family {' or '.join(FAMILIES)}")
        files.write_kohya(given.out, lora, family, Folder(given.base).weight if given.base else None)
    return f"{_said(given.out, lora)}, in {given.to}'s format"


def inspect(given: Given) -> str:
    """Say what a file is and holds."""
    known = inspection.facts(given.file)
    return json.dumps(known, indent=2, ensure_ascii=False) if given.json else inspection.table(known)


COMMANDS = {function.__name__: function for function in (merge, stack, resize, extract, interpolate, convert, inspect)}


def _left(out: Path, lora: Lora, size: Size, made_from: Sequence[Lora]) -> str:
    """Write ``lora`` in ``size`` and say so; what it was made from stands in its metadata."""
    error = 0.0
    if size != WHOLE:
        arithmetic.refuse_size(size)
        lora, error = arithmetic.resized(lora, size)
    files.write(out, Lora(lora.layers, about.inherited([each.metadata for each in made_from])))
    return _said(out, lora) + (f"; off by {error:.2%} of its norm" if size != WHOLE else "")


def _said(out: Path, lora: Adapter | Lora) -> str:
    ranks = sorted({layer.rank for layer in lora.layers.values()})
    span = f"{ranks[0]}" if ranks[0] == ranks[-1] else f"{ranks[0]} to {ranks[-1]}"
    return f"{out}: {len(lora.layers)} layers of rank {span}"


def _weighed(text: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE=WEIGHT``."""
    name, _, weight = text.rpartition("=")
    try:
        return (Path(name), float(weight)) if name else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.lora", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=function.__doc__) for name, function in COMMANDS.items()}
    for name in ("merge", "stack"):
        made[name].add_argument("files", nargs="+", metavar="FILE[=WEIGHT]")
    for name in ("resize", "convert", "inspect"):
        made[name].add_argument("file", type=Path, metavar="FILE")
    for name in made.keys() - {"inspect"}:
        made[name].add_argument("--out", type=Path, required=True, help="a new folder" if name == "merge" else "a file")
    for name in ("merge", "extract"):
        made[name].add_argument("--base", type=Path, required=True, help="a diffusers folder")
    for name in ("stack", "resize", "extract", "interpolate"):
        made[name].add_argument("--rank", type=int, help="ranks that are kept at most")
        made[name].add_argument("--energy", type=float, help="share of the squared norm that they must hold, 0 to 1")
    _add_own(made)
    return parser


def _add_own(made: dict[str, argparse.ArgumentParser]) -> None:
    """The arguments that one command alone has."""
    made["stack"].add_argument("--method", choices=("sum", *arithmetic.METHODS), default="sum")
    made["stack"].add_argument("--density", type=float, default=0.5, help="share that a method other than sum keeps")
    made["stack"].add_argument("--seed", type=int, default=0, help="of what DARE drops")
    made["extract"].add_argument("--tuned", type=Path, required=True, help="the same folder after tuning")
    made["interpolate"].add_argument("one", type=Path, metavar="FILE")
    made["interpolate"].add_argument("other", type=Path, metavar="FILE")
    made["interpolate"].add_argument("--at", type=float, required=True, help="0 is the one, 1 the other")
    made["convert"].add_argument("--to", choices=("kohya", "diffusers"), required=True)
    made["convert"].add_argument("--family", choices=FAMILIES, help="where the file does not tell")
    made["convert"].add_argument("--base", type=Path, help="its diffusers folder, which a DoRA needs")
    made["inspect"].add_argument("--json", action="store_true")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
