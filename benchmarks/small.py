"""The smallest project that has work for every stage, which benchmarks of what surrounds the work share."""

import resource
from pathlib import Path

SMALL = (  # twelve pictures of one's own, a training of four steps, one thread
    "source=folder",
    "caption.subject=coins",
    *("clean.min_sharpness=0.0", "clean.twin_distance=0", "prepare.group_distance=0", "detector=lbp"),
    *("train.steps=4", "train.batch=2", "train.curve_every=4", "train.checkpoint_every=2", "train.snapshots=0"),
    "measure.threads=1",
)


def draw(own: Path) -> None:
    """Twelve pictures of 96 pixels, every second of what is to be learned."""
    import cv2
    import numpy as np

    for number in range(12):
        colours = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = cv2.resize(colours, (96, 96), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(own / f"{number:02}_{'coins' if number % 2 else 'grass'}.png"), picture)
    (own / "rights.yaml").write_text('"*": {licence: CC0-1.0}\n')


def cpu_of_children() -> float:
    """CPU seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
