"""How the data stages grow, and what the engines cost: ``python benchmarks/scaling.py [--rows N …] [NAME …]``.

    memory    every data stage over N tiny pictures, each in a process of its own: CPU seconds, wall seconds and the peak
              of its memory, its workers' included; for every N given, so that growth shows
    pixels    crawl and prepare over 25 and over 200 pictures of one megapixel: the peak must not grow with them
    engines   the same item function (decode, shrink, sharpness and digest of 200 pictures of one megapixel) on each
              engine that is installed: wall seconds of a first and a second pass, CPU seconds of all processes, and the
              digest of the results

It needs the environment of ``make setup``, some disk in the folder for temporary files, and no network. The pictures
are made up: smooth noise, no two alike.
"""

import argparse
import hashlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages import machine, params, shards, tables  # noqa: E402 - of this checkout, installed or not
from stages.images import Pixels, decode, encode_png  # noqa: E402
from stages.records import Item  # noqa: E402

STAGES = ("frames", "measure", "clean", "anonymise", "caption", "prepare")  # after crawl
TINY = 48  # pixels
LARGE = 1024
OVERRIDES = (
    "source=folder",
    "caption.subject=even",
    "clean.min_side=1",
    "clean.min_sharpness=0.0",
    "clean.min_contrast=0.0",
    "clean.twin_distance=0",
    "prepare.group_distance=0",
    "prepare.buckets=[[32,32]]",
    "prepare.augment.variants=0",
    "detector=lbp",
    "measure.detector.min_face=0.99",
)


def picture(number: int, side: int) -> Pixels:
    """Smooth noise, uint8[side, side, 3], another for each ``number``."""
    cells = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _files(count: int, side: int) -> Iterator[bytes]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, count, 256):
            numbers = range(start, min(count, start + 256))
            yield from pool.map(lambda number: encode_png(picture(number, side)), numbers)


def _crawled(folder: Path, count: int, side: int) -> None:
    """What crawl would leave of ``count`` pictures."""
    with shards.Writer(folder, digits=1) as writer:
        for content in _files(count, side):
            writer.add(hashlib.sha256(content).hexdigest(), content)
    said = {"url": "", "page": "", "kind": "image", "alt": "", "title": "", "author": "", "credit": "", "licence": ""}
    said |= {"licence_evidence": (), "signals": (), "consent": "", "group": ""}
    tables.write(folder, Item, (Item(id=id, place=place, **said) for id, place in writer.places.items()))


def _own(folder: Path, count: int, side: int) -> None:
    """``count`` files for the source ``folder``, a thousand in each folder."""
    for number, content in enumerate(_files(count, side)):
        file = folder / f"{number // 1000:04}" / f"{number:07}_{'odd' if number % 2 else 'even'}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "rights.yaml").write_text('"*": {licence: CC0-1.0}\n')


def _project(folder: Path) -> Path:
    (folder / "data/own").mkdir(parents=True)
    (folder / "params.yaml").write_text(params.composed(OVERRIDES))
    return folder


def _measured(project: Path, stage: str) -> dict[str, float]:
    """Run ``stage`` in ``project`` as dvc.yaml does; its CPU and wall seconds, and the peak of memory in megabytes."""
    command = shlex.split(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["cmd"])[1:]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *command], cwd=project, env=environment, stderr=subprocess.PIPE)
    peak, watcher = [0.0], threading.Event()
    watching = threading.Thread(target=_watch, args=(process.pid, peak, watcher))
    watching.start()
    said = process.communicate()[1].decode()
    watcher.set()
    watching.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{stage}: {said}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": round(cpu, 1), "wall_s": round(time.monotonic() - started, 1), "peak_mb": round(peak[0])}


def _watch(pid: int, peak: list[float], stop: threading.Event) -> None:
    """Keep in ``peak`` the most megabytes that ``pid`` and its children had together, seen every 20 ms."""
    while not stop.wait(0.02):
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            peak[0] = max(peak[0], sum(each.memory_info().rss for each in family) / 1e6)
        except psutil.NoSuchProcess:
            continue


def memory(rows: Sequence[int]) -> dict[str, object]:
    """Every data stage over each number of tiny pictures."""
    found: dict[str, dict[int, object]] = {stage: {} for stage in ("crawl", *STAGES)}
    for count in rows:
        with tempfile.TemporaryDirectory() as folder:
            project = _project(Path(folder))
            _own(project / "data/own", count, TINY)
            for stage in ("crawl", *STAGES):
                found[stage][count] = _measured(project, stage)
                print(stage, count, found[stage][count], file=sys.stderr, flush=True)
    return dict(found)


def pixels(_: Sequence[int]) -> dict[str, object]:
    """Stages that write pixels, over few and over many large pictures."""
    found: dict[str, dict[int, object]] = {stage: {} for stage in ("crawl", "prepare")}
    for count in (25, 200):
        with tempfile.TemporaryDirectory() as folder:
            project = _project(Path(folder))
            (project / "params.yaml").write_text(
                params.composed([*OVERRIDES, "prepare.buckets=[[1024,1024]]", "prepare.augment.variants=1"])
            )
            _own(project / "data/own", count, LARGE)
            for stage in ("crawl", *STAGES):
                result = _measured(project, stage)
                if stage in found:
                    found[stage][count] = result
                    print(stage, count, result, file=sys.stderr, flush=True)
    return dict(found)


def engines(_: Sequence[int]) -> dict[str, object]:
    """The same work on each engine, each in a process of its own."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        _crawled(Path(folder), 200, LARGE)
        for engine in machine.ENGINES:
            environment = os.environ | {"DARKROOM_ENGINE": engine, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, __file__, "--pass", folder],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            found[engine] = json.loads(done.stdout.splitlines()[-1]) if not done.returncode else done.stderr[-300:]
            print(engine, found[engine], file=sys.stderr, flush=True)
    return found


def facts(content: bytes) -> tuple[float, str]:
    """What a pass finds in one picture: decoded, made grey and small, its sharpness and a digest of it."""
    grey = cv2.cvtColor(decode(content), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (500, 500), interpolation=cv2.INTER_AREA)  # no whole factor, which would be a short cut
    return round(float(cv2.Laplacian(small, cv2.CV_64F).var()), 3), hashlib.sha256(small.tobytes()).hexdigest()


def _passes(folder: Path) -> dict[str, object]:
    """Two passes over the pictures of ``folder`` on the engine that the environment names."""
    items, seconds = tables.read(folder, Item), list[float]()
    for _ in range(2):
        started = time.monotonic()
        results = list(machine.each(lambda item: facts(shards.read(folder, item.place)), items, label="pass"))
        seconds.append(round(time.monotonic() - started, 2))
    digest = hashlib.sha256(json.dumps(results).encode()).hexdigest()[:16]
    return {"first_s": seconds[0], "second_s": seconds[1], "cpu_s": round(_cpu(), 1), "digest": digest}


def _cpu() -> float:
    """CPU seconds of this process, of all that it started and of what those waited for."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(each.cpu_times()[:4]) for each in family)  # user, system, and those of children that ended


MEASURES: dict[str, Callable[[Sequence[int]], dict[str, object]]] = {
    "memory": memory,
    "pixels": pixels,
    "engines": engines,
}


def main() -> None:
    """Print what the measures named on the command line find, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], default=[])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--pass", dest="folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(_passes(given.folder)))
        return
    print(json.dumps({name: MEASURES[name](given.rows) for name in given.names or MEASURES}, indent=2))


if __name__ == "__main__":
    main()
