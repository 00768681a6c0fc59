"""How many pictures one core measures in a second: ``python benchmarks/measuring.py [--count N] [--peers PYTHON]``.

    decode      what decoding alone allows
    signals     all that ``measure`` finds without a model, and no faces
    faces       the same with the detector of the default configuration
    stage       the whole stage without faces, in a guarded process, from shards to tables: seconds by the clock
    peers       imagededup's PHash and then cleanvision's default issues over the same files

The pictures are JPEGs of 1 to 2 megapixels and about 0.3 MB, made of scikit-image's photographs with a fixed seed. Time
is CPU seconds of one thread, the best of three rounds in which the runs take turns; the peers run in an environment of
their own (``pip install imagededup cleanvision`` and a torch), whose Python ``--peers`` names.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stages import config, plugins, shards, specimens, tables
from stages.images import Pixels, decode
from stages.measure import stage
from stages.records import Frame

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
NAMES = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket", "immunohistochemistry", "coins")

# Run by the peers' Python. imagededup imports torchvision for networks that its PHash does not use.
PEERS = """
import importlib.abc, importlib.machinery, json, pathlib, resource, sys, types, unittest.mock
class Stub(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return unittest.mock.MagicMock()
class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.split(".")[0] == "torchvision" else None
    def create_module(self, spec):
        return Stub(spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Finder())
def spent():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
folder, found = sys.argv[1], {}
from imagededup.methods import PHash
hasher, before = PHash(verbose=False), spent()
for file in sorted(pathlib.Path(folder).iterdir()):
    hasher.encode_image(image_file=str(file))
found["imagededup"] = spent() - before
from cleanvision import Imagelab
lab, before = Imagelab(data_path=folder, verbose=False), spent()
lab.find_issues(n_jobs=1, verbose=False)
found["cleanvision"] = spent() - before
print(json.dumps(found))
"""


def photograph(number: int) -> Pixels:
    """A part of one photograph, enlarged to 1 to 2 megapixels, with the grain of a sensor, uint8[H, W, 3]."""
    rng = np.random.default_rng(number)
    whole = specimens.photograph(NAMES[number % len(NAMES)])
    height, width = (int(length * rng.uniform(0.6, 1)) for length in whole.shape[:2])
    top, left = (int(rng.integers(0, more + 1)) for more in (whole.shape[0] - height, whole.shape[1] - width))
    scale = np.sqrt(rng.uniform(1e6, 2e6) / (height * width))
    part = whole[top : top + height, left : left + width]
    large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.clip(large + rng.normal(0, 9, large.shape), 0, 255).astype(np.uint8)


def corpus(folder: Path, count: int) -> list[Path]:
    """``count`` JPEGs in ``folder``."""
    folder.mkdir()
    files = [folder / f"{number:05d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        Image.fromarray(photograph(number)).save(file, quality=82)
    return files


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of this process and of those it waited for."""
    before = _cpu()
    work()
    return _cpu() - before


def lasted(work: Callable[[], object]) -> float:
    """Seconds by the clock: what a guarded process spends nobody can ask for while it lives."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measured(files: Sequence[Path], *, faces: bool) -> None:
    """The stage's work on each of ``files``, here and not in other processes."""
    settings = config.load(ROOT / "params.yaml", "measure", stage.Config)
    detect = plugins.build("stages.detectors", settings.detector) if faces else lambda _: ()
    for file in files:
        content = file.read_bytes()
        id = sha256(content).hexdigest()
        frame = Frame(
            id=id,
            item=id,
            pts=0,
            time_base="",
            time_ms=0.0,
            store="crawl",
            place=shards.Place(shard="", offset=0, size=0),
        )
        stage.measure(frame, content, detect, side=settings.side)


def staged(files: Sequence[Path], folder: Path) -> Callable[[], object]:
    """The whole stage over ``files``, ready to run; the detector looks for faces larger than any picture."""
    contents = {sha256(content).hexdigest(): content for content in (file.read_bytes() for file in files)}
    places = shards.write(folder / "crawl", contents, digits=1)
    frames = [
        Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=place)
        for id, place in places.items()
    ]
    tables.write(folder / "frames", Frame, frames)
    settings = config.load(ROOT / "params.yaml", "measure", stage.Config)
    blind = {"name": "lbp", "side": 8, "min_face": 0.99, "min_neighbours": 99}
    return lambda: stage.run(
        replace(settings, detector=blind), crawled=folder / "crawl", frames=folder / "frames", out=folder / "out"
    )


def peers(python: str, folder: Path) -> dict[str, float]:
    """CPU seconds of each peer over ``folder``."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [python, "-c", PEERS, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Make the pictures, let the runs take turns, and print the best of each as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=96, help="pictures")
    parser.add_argument("--peers", default="", help="the Python that has imagededup and cleanvision")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    os.environ["DARKROOM_WORKERS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = corpus(folder / "pictures", asked.count)
        stage_run = staged(files, folder)
        runs: dict[str, Callable[[], dict[str, float]]] = {
            "decode": lambda: {"decode": spent(lambda: [decode(file.read_bytes()) for file in files])},
            "signals": lambda: {"signals": spent(lambda: measured(files, faces=False))},
            "faces": lambda: {"faces": spent(lambda: measured(files, faces=True))},
            "stage": lambda: {"stage": lasted(stage_run)},
        }
        if asked.peers:
            runs["peers"] = lambda: peers(asked.peers, folder / "pictures")
        seconds: dict[str, float] = {}
        for _ in range(ROUNDS):
            for run in runs.values():
                for what, took in run().items():
                    seconds[what] = min(took, seconds.get(what, took))
        mean = sum(file.stat().st_size for file in files) / len(files)
    print(json.dumps(summary(seconds, asked.count) | {"mean_bytes": round(mean)}, indent=1))


def summary(seconds: dict[str, float], count: int) -> dict[str, float]:
    """Pictures per second of each run, and how they compare."""
    speed = {f"{what}_per_second": round(count / took, 1) for what, took in seconds.items()}
    speed["signals_of_decode"] = round(seconds["decode"] / seconds["signals"], 3)
    speed["faces_of_decode"] = round(seconds["decode"] / seconds["faces"], 3)
    if "imagededup" in seconds:
        both = seconds["imagededup"] + seconds["cleanvision"]
        speed["signals_times_peers"] = round(both / seconds["signals"], 2)
        speed["faces_times_peers"] = round(both / seconds["faces"], 2)
    return speed


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s in all", file=sys.stderr)
