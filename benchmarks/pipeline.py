"""The README's figures, each measured on copies of this project: ``python benchmarks/pipeline.py [NAME …]``.

    first       dvc repro with empty caches: seconds, and the peak of memory over all processes together
    again       the same once more: seconds, and which stages ran
    threshold   one cleaning threshold changed that changes nothing else: seconds, and which stages ran
    clones      two fresh clones: whether their dvc.lock is byte-identical, and whether git is clean in them
    kills       SIGKILL to the whole process group at random moments, then dvc repro: how many end with the same bytes
    stops       training stopped at random steps and resumed: how many adapters are the same file
    startup     a light stage from start to its first line of work, in seconds
    folder      dvc repro over 300 pictures in data/own, cut from scikit-image's photographs and changed

It needs the environment of ``make setup`` and nothing else; ``--runs N`` makes fewer kills and stops, and ``--with
OVERRIDE …`` measures another run than the default one.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OVERRIDES: list[str] = []  # overrides that every copy is composed with


@cache
def commit() -> str:
    """The commit that is measured: the one that was the last when the measurement began."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


class Copy:
    """A clone of ``commit`` with caches of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.folder)], check=True)
        subprocess.run(["git", "reset", "--quiet", "--hard", commit()], cwd=self.folder, check=True)
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DARKROOM_CACHE": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
        }
        if OVERRIDES:
            command = [sys.executable, "-m", "stages.params", *OVERRIDES]
            subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    def repro(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run ``dvc repro``; its output is kept."""
        return subprocess.run(
            ["dvc", "repro", *more], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def lock(self) -> bytes:
        """dvc.lock as it is."""
        return (self.folder / "dvc.lock").read_bytes()

    def clean(self) -> bool:
        """Whether git sees no change."""
        status = subprocess.run(["git", "status", "--porcelain"], cwd=self.folder, capture_output=True, check=True)
        return not status.stdout


def first(folder: Path) -> dict[str, object]:
    """Seconds and peak memory of a run with empty caches."""
    copy = Copy(folder)
    started = time.monotonic()
    process = subprocess.Popen(["dvc", "repro"], cwd=copy.folder, env=copy.environment, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_resident(each) for each in _tree(process.pid)))
        time.sleep(0.1)
    return {
        "exit": process.returncode,
        "seconds": _since(started),
        "peak_gb": round(peak / 1e9, 2),
        "clean": copy.clean(),
    }


def again(folder: Path) -> dict[str, object]:
    """A second run right after the first."""
    copy = Copy(folder)
    copy.repro()
    started = time.monotonic()
    done = copy.repro()
    return {"seconds": _since(started), "ran": _ran(done.stdout)}


def threshold(folder: Path) -> dict[str, object]:
    """A threshold that no picture is near."""
    copy = Copy(folder)
    copy.repro()
    file = copy.folder / "conf" / "clean.yaml"
    file.write_text(file.read_text().replace("min_contrast: 5.0", "min_contrast: 5.5"))
    started = time.monotonic()
    done = copy.repro()
    return {"seconds": _since(started), "ran": _ran(done.stdout)}


def clones(folder: Path) -> dict[str, object]:
    """Two clones that share nothing."""
    one, other = Copy(folder / "one"), Copy(folder / "other")
    one.repro(), other.repro()
    return {"identical": one.lock() == other.lock(), "clean": one.clean() and other.clean()}


def kills(folder: Path, runs: int) -> dict[str, object]:
    """Kill, run again, compare."""
    undisturbed = Copy(folder / "undisturbed")
    started = time.monotonic()
    undisturbed.repro()
    seconds = time.monotonic() - started
    moments, same = random.Random(0), 0
    for run in range(runs):
        copy = Copy(folder / f"killed-{run}")
        moment = moments.uniform(0.02, 0.95) * seconds
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=copy.folder, env=copy.environment, stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = copy.repro()
        equal = done.returncode == 0 and copy.lock() == undisturbed.lock()
        same += equal
        print(f"killed after {moment:.1f} s: {'the same bytes' if equal else 'DIFFERENT'}", flush=True)
        shutil.rmtree(folder / f"killed-{run}")
    return {"undisturbed_seconds": round(seconds, 1), "same": same, "of": runs}


def stops(folder: Path, runs: int) -> dict[str, object]:
    """Kill the training stage alone, each time once it has gone past a random step."""
    copy = Copy(folder)
    copy.repro()
    adapter = (copy.folder / "data" / "train" / "adapter.safetensors").read_bytes()
    command = _command(copy, "train")
    steps, every = _train_setting(copy, "steps"), _train_setting(copy, "checkpoint_every")
    moments, same = random.Random(0), 0
    for _ in range(runs):
        step = moments.randrange(every, steps)
        shutil.rmtree(copy.folder / "data" / "train")
        _stopped(copy, command, step)
        subprocess.run(command, cwd=copy.folder, env=copy.environment, check=True, capture_output=True)
        equal = (copy.folder / "data" / "train" / "adapter.safetensors").read_bytes() == adapter
        same += equal
        print(f"stopped after step {step} of {steps}: {'the same file' if equal else 'DIFFERENT'}", flush=True)
    return {"same": same, "of": runs}


def startup(folder: Path) -> dict[str, object]:
    """Best of five: python, imports and the checking of parameters; ``--help`` ends there."""
    copy = Copy(folder)
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        command = [sys.executable, "-m", "stages", "clean", "--help"]
        subprocess.run(command, cwd=copy.folder, env=copy.environment, check=True, capture_output=True)
        seconds.append(time.monotonic() - started)
    return {"seconds": round(min(seconds), 2)}


def folder(place: Path, *, pictures: int = 300) -> dict[str, object]:
    """A studio's own pictures: one licence for all, a caption beside each, galaxies to learn."""
    copy = Copy(place)
    _studio(copy.folder / "data" / "own", pictures)
    started = time.monotonic()
    command = ["dvc", "exp", "run", "-S", "source=folder", "-S", "caption.subject=galaxies"]
    done = subprocess.run(command, cwd=copy.folder, env=copy.environment, capture_output=True, text=True, check=False)
    reports = {
        name: json.loads((copy.folder / f"data/reports/{name}.json").read_text()) for name in ("clean", "evaluate")
    }
    return {
        "exit": done.returncode,
        "seconds": _since(started),
        "clean": reports["clean"],
        "heldout_loss": [reports["evaluate"][f"heldout_loss/{arm}"] for arm in ("base", "adapter")],
        "last": (done.stdout + done.stderr).splitlines()[-1] if done.returncode else "",
    }


def _studio(own: Path, pictures: int) -> None:
    """Windows of photographs, each turned, mirrored or re-lit a little, as JPEG; every fifth is of the subject."""
    import numpy as np
    from PIL import Image, ImageEnhance

    from stages import specimens

    rng = np.random.default_rng(0)
    known = ("chelsea", "coffee", "coins", "grass", "gravel", "rocket", "retina", "immunohistochemistry")
    for number in range(pictures):
        name = "hubble_deep_field" if number % 5 == 0 else known[number % len(known)]
        pixels = specimens.photograph(name)
        side = int(rng.uniform(0.35, 0.6) * min(pixels.shape[:2]))
        top, left = (int(rng.integers(0, length - side + 1)) for length in pixels.shape[:2])
        picture = Image.fromarray(pixels[top : top + side, left : left + side])
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2))
        picture.resize((side, side)).save(own / f"{number:03d}.jpg", quality=int(rng.integers(70, 96)))
        words = "galaxies in the deep field" if name == "hubble_deep_field" else f"a picture of {name}"
        (own / f"{number:03d}.txt").write_text(f"{words}\n")
    (own / "rights.yaml").write_text('"*": {licence: CC0-1.0, author: Darkroom Studio}\n')


def _stopped(copy: Copy, command: list[str], step: int) -> None:
    """Run ``command`` and kill it when its checkpoint says that it has gone ``step`` steps."""
    import torch

    process = subprocess.Popen(command, cwd=copy.folder, env=copy.environment, stderr=subprocess.DEVNULL)
    folder = Path(copy.environment["DARKROOM_CACHE"]) / "train"
    while process.poll() is None:
        time.sleep(0.2)
        for file in folder.glob("*.ckpt"):
            if torch.load(file, weights_only=True)["global_step"] >= step - step % _train_setting(
                copy, "checkpoint_every"
            ):
                time.sleep(random.Random(step).uniform(0, 2))
                process.kill()
                process.wait()
                return


def _command(copy: Copy, stage: str) -> list[str]:
    import yaml

    command = yaml.safe_load((copy.folder / "dvc.yaml").read_text())["stages"][stage]["cmd"]
    return [sys.executable, *command.split()[1:]]


def _train_setting(copy: Copy, name: str) -> int:
    import yaml

    return int(yaml.safe_load((copy.folder / "params.yaml").read_text())["train"][name])


def _ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)


def _tree(pid: int) -> list[int]:
    """``pid`` and all that it started, from /proc."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def _resident(pid: int) -> int:
    """Bytes of memory that ``pid`` holds; shared pages count in each process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Measure what is asked for, and print one JSON object for each."""
    measures: dict[str, Callable[..., dict[str, object]]] = {
        each.__name__: each for each in (first, again, threshold, clones, kills, stops, startup, folder)
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*measures, []], default=[])
    parser.add_argument("--runs", type=int, help="of kills (10) and stops (5)")
    parser.add_argument("--with", dest="overrides", nargs="*", default=[], help="as +experiment=digits train.steps=60")
    given = parser.parse_args()
    OVERRIDES.extend(given.overrides)
    for name in given.names or measures:
        with tempfile.TemporaryDirectory() as place:
            more = [given.runs or {"kills": 10, "stops": 5}[name]] if name in ("kills", "stops") else []
            print(json.dumps({name: measures[name](Path(place), *more)}), flush=True)


if __name__ == "__main__":
    main()
