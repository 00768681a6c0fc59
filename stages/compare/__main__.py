"""Compare pictures or videos with those that they should equal: ``python -m stages.compare REFERENCE OTHER``.

PSNR, SSIM and MS-SSIM of two files, of two folders with files of the same names, or of two videos frame by frame: the
mean over pairs and the worst. Of videos also how steady each is. LPIPS where its weights are, VMAF where ffmpeg is. It says
nothing of pictures that should only be alike.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from stages import config, params, plugins, terminal
from stages.cards import counted
from stages.compare import motion, vmaf
from stages.compare.pairs import Pair, is_video, pairs
from stages.errors import DarkroomError, ImageError
from stages.evaluate import fidelity
from stages.evaluate.embedders import Embedder
from stages.evaluate.lpips import Lpips
from stages.evaluate.metrics import lpips as part
from stages.images import Pixels

log = logging.getLogger("stages")
EMBEDDERS = "stages.evaluate.embedders"
WORST: dict[str, Callable[..., str]] = {"psnr": min, "ssim": min, "ms_ssim": min, "lpips_alex": max, "lpips_vgg": max}


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
    parser.add_argument("--lpips", action="store_true", help="by the network and the weights of conf/metric/lpips.yaml")
    parser.add_argument("--vmaf", action="store_true", help="of two videos, through ffmpeg")
    given = parser.parse_args(arguments)
    try:
        said = report(given.reference, given.other, given.embedder, lpips=given.lpips, rated=given.vmaf)
    except DarkroomError as error:
        log.error("%s", error)
        return 1
    terminal.say(said)
    return 0


def report(reference: Path, other: Path, embedder: str, *, lpips: bool, rated: bool) -> str:
    """The lines that say how alike ``reference`` and ``other`` are; with LPIPS, and ``rated`` by VMAF.

    Raises:
        DarkroomError: when they cannot be compared.
    """
    videos = is_video(reference) and is_video(other)
    if rated and not videos:
        raise ImageError(f"{reference} and {other}: VMAF is of videos; give two, or leave --vmaf out")
    if rated:
        vmaf.program()  # that there is none is better said before the frames are looked at
    steady = [Steadiness(_embedder(embedder)) for _ in range(2)] if videos else []
    apart = _lpips() if lpips else None
    values: dict[str, dict[str, float]] = {}
    for pair in pairs(reference, other):
        values[pair.name] = _measured(pair, apart)
        for each, frame in zip(steady, (pair.reference, pair.other), strict=False):
            each.see(frame)
    lines = [*_fidelity(values), *(_steadiness(steady, embedder) if len(values) > 1 else ())]
    return "\n".join([*lines, *(_rated(reference, other) if rated else ())])


def _measured(pair: Pair, apart: Lpips | None) -> dict[str, float]:
    reals, others = [pair.reference], [pair.other]
    measured = {name: float(fidelity.each(name, reals, others)[0]) for name in fidelity.names(reals)}
    if apart is None:
        return measured
    if not apart.takes(reals):
        least = apart.network.least
        raise ImageError(f"{pair.name}: smaller than {least} x {least} pixels, which LPIPS needs; leave --lpips out")
    return measured | {apart.name: float(apart.of(reals, others)[0])}


def _fidelity(values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line for each measure that all pairs have; PSNR is the mean of decibels and not that of a pooled error."""
    lines = [
        f"{counted(len(values), 'pair')}, {sum(each['psnr'] == fidelity.PSNR_CAP for each in values.values())} identical"
    ]
    for name, worst_of in WORST.items():
        if all(name in each for each in values.values()):
            worst = worst_of(values, key=lambda pair: values[pair][name])
            mean = np.mean([each[name] for each in values.values()])
            lines.append(f"{name:22} mean {mean:.4f}, worst {values[worst][name]:.4f} ({worst})")
    return lines


def _rated(reference: Path, other: Path) -> list[str]:
    said = vmaf.ratings(reference, other)
    worst = int(said.frames.argmin())
    by = f"{vmaf.MODEL}, libvmaf {said.library}"
    return [f"{'vmaf':22} mean {said.frames.mean():.4f}, worst {said.frames[worst]:.4f} ({worst}); {by}"]


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
    built: Embedder = plugins.build(EMBEDDERS, _settings(f"embedder=[{name}]")["embedders"][name])
    return built


def _lpips() -> Lpips:
    """LPIPS as conf/ has it."""
    values = {key: value for key, value in _settings("metric=[lpips]")["metrics"]["lpips"].items() if key != "name"}
    return part.distance(config.check(values, part.Config, where="conf/metric/lpips.yaml"))


def _settings(choice: str) -> Any:
    return yaml.safe_load(params.composed([choice]))["evaluate"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
