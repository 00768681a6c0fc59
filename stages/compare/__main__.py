"""Compare pictures or videos with those that they should equal: ``python -m stages.compare REFERENCE OTHER``.

PSNR, SSIM and MS-SSIM of two files, of two folders with files of the same names, or of two videos frame by frame: the
mean over pairs and the worst. Of videos also how steady each is. It says nothing of pictures that should only be alike.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from stages import params, plugins, terminal
from stages.cards import counted
from stages.compare import motion
from stages.compare.pairs import Pair, is_video, pairs
from stages.errors import DarkroomError
from stages.evaluate import fidelity
from stages.evaluate.embedders import Embedder
from stages.images import Pixels

log = logging.getLogger("stages")
EMBEDDERS = "stages.evaluate.embedders"


@dataclass(slots=True)
class Steadiness:
    """What is seen of one video while its frames go by."""

    embed: Embedder
    features: list[NDArray[np.float64]] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    last: Pixels | None = None

    def see(self, frame: Pixels) -> None:
        """Take in the next frame."""
        self.features.append(self.embed([frame])[0])
        if self.last is not None:
            self.errors.append(motion.warp_error(self.last, frame))
        self.last = frame

    def numbers(self) -> tuple[float, float]:
        """Consistency, and the mean error over the frames whose motion could be followed."""
        known = [error for error in self.errors if np.isfinite(error)]
        return motion.consistency(np.stack(self.features)), float(np.mean(known)) if known else float("nan")


def main(arguments: Sequence[str]) -> int:
    """Say how alike two things are; 1 when the user has something to put right."""
    terminal.log_lines()
    parser = argparse.ArgumentParser(prog="python -m stages.compare", description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--embedder", choices=plugins.names(EMBEDDERS), default="filters", help="of frames of videos")
    given = parser.parse_args(arguments)
    try:
        said = report(given.reference, given.other, given.embedder)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    terminal.say(said)
    return 0


def report(reference: Path, other: Path, embedder: str) -> str:
    """The lines that say how alike ``reference`` and ``other`` are.

    Raises:
        DarkroomError: when they cannot be compared.
    """
    steady: list[Steadiness] = []
    if is_video(reference) and is_video(other):
        steady = [Steadiness(_embedder(embedder)) for _ in range(2)]
    values: dict[str, dict[str, float]] = {}
    for pair in pairs(reference, other):
        values[pair.name] = _measured(pair)
        for each, frame in zip(steady, (pair.reference, pair.other), strict=False):
            each.see(frame)
    return "\n".join([*_fidelity(values), *(_steadiness(steady, embedder) if len(values) > 1 else ())])


def _measured(pair: Pair) -> dict[str, float]:
    names = fidelity.names([pair.reference])
    return {name: float(fidelity.each(name, [pair.reference], [pair.other])[0]) for name in names}


def _fidelity(values: dict[str, dict[str, float]]) -> list[str]:
    """A line for each measure that all pairs have; PSNR is the mean of decibels and not that of a pooled error."""
    lines = [
        f"{counted(len(values), 'pair')}, {sum(each['psnr'] == fidelity.PSNR_CAP for each in values.values())} identical"
    ]
    for name in ("psnr", "ssim", "ms_ssim"):
        if all(name in each for each in values.values()):
            worst = min(values, key=lambda pair: values[pair][name])
            mean = np.mean([each[name] for each in values.values()])
            lines.append(f"{name:22} mean {mean:.4f}, worst {values[worst][name]:.4f} ({worst})")
    return lines


def _steadiness(steady: Sequence[Steadiness], embedder: str) -> list[str]:
    if not steady:
        return []
    (consistent, error), (other_consistent, other_error) = (each.numbers() for each in steady)
    return [
        f"{f'consistency_{embedder}':22} {consistent:.6f} → {other_consistent:.6f}",
        f"{'warp_error':22} {error:.6f} → {other_error:.6f}",
    ]


def _embedder(name: str) -> Embedder:
    """The embedder as conf/ has it."""
    settings = yaml.safe_load(params.composed([f"embedder=[{name}]"]))["evaluate"]["embedders"][name]
    built: Embedder = plugins.build(EMBEDDERS, settings)
    return built


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
