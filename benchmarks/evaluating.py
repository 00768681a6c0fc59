"""How long evaluate takes where its pictures are known: ``python benchmarks/evaluating.py [--pictures N] [--with OVERRIDE …]``.

Base and adapter draw N pictures (500) together, which are judged twice: with an empty cache folder, and again. Besides the
filter bank the features are those of a DINOv2 of the size of its smallest, with random weights: the second time they come from
the cache folder. The pictures are 64 pixels wide, drawn by the tiny base after a training of four steps; what is held out
are two pictures of each role, so the time is that of pictures and features, not of losses.

It prints one JSON object: seconds of the wall and of CPU, interpreter and imports included. On a machine that others use the
CPU's are what counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from small import SMALL, cpu_of_children, draw

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EYES = """\
import sys, torch
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

torch.manual_seed(0)
Dinov2Model(Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, patch_size=14)).save_pretrained(sys.argv[1])
BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}).save_pretrained(sys.argv[1])
"""


def project(place: Path, pictures: int, overrides: list[str]) -> tuple[Path, dict[str, str]]:
    """A clone of the last commit that has drawn ``pictures`` and has not judged them, and its environment."""
    folder, eyes = place / "project", place / "eyes"
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "DARKROOM_CACHE": str(place / "cache"),
        "DARKROOM_LIVE": "0",
        "HF_HUB_OFFLINE": "1",
    }
    each = pictures // 4
    asked = [
        *SMALL,
        *(f"generate.{role}_pictures={each}" for role in ("subject", "prior")),
        *("embedder=[filters,dinov2]", f"evaluate.embedders.dinov2.weights.folder={eyes}"),
        *overrides,
    ]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    draw(folder / "data" / "own")
    for command in (
        [sys.executable, "-c", EYES, str(eyes)],
        [sys.executable, "-m", "stages.params", *asked],
        [sys.executable, "-m", "dvc", "repro", "generate"],
    ):
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder, environment


def judged(folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """Seconds that the stage takes, as dvc.yaml has it."""
    command = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]["evaluate"]["cmd"]
    begun, cpu = time.monotonic(), cpu_of_children()
    subprocess.run([sys.executable, *command.split()[1:]], cwd=folder, env=environment, check=True, capture_output=True)
    return {"seconds": round(time.monotonic() - begun, 1), "cpu_seconds": round(cpu_of_children() - cpu, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--with", dest="overrides", nargs="*", default=[], help="as metric=[kid,frechet]")
    parser.add_argument("--keep", type=Path, help="a folder to leave the project in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, environment = project(given.keep or Path(place), given.pictures, given.overrides)
        report = json.loads((folder / "data" / "reports" / "generate.json").read_text())
        first, again = judged(folder, environment), judged(folder, environment)
    print(json.dumps({"pictures": report["pictures"], "first": first, "again": again}))


if __name__ == "__main__":
    main()
