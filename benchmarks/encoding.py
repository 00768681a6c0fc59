"""What one new picture costs where a thousand are encoded: ``python benchmarks/encoding.py [--count N] [--side PIXELS]``.

    first       the stage over N pictures, each with its own caption, into an empty cache folder
    again       the same with nothing new: no model is loaded
    one more    the same with one picture and one caption more

Each runs in a process of its own on one thread; time is its CPU seconds from reading the samples to the last byte written.
Imports and the models' loading are apart: a picture and a text are encoded before the clock starts. The digest of the
base is not: it is taken anew each time. Pictures are noise.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from stages import shards, tables
from stages.images import encode_png
from stages.records import Mask, Sample

ROOT = Path(__file__).resolve().parent.parent

STAGE = """
import json, sys, time
from pathlib import Path
import numpy as np
import torch, diffusers, transformers, safetensors.torch
from stages import families
from stages.encode.stage import Config, run
name, base, prepared, out, side = json.loads(sys.argv[1])
how = Config(family=name, base_precision="fp32", long_captions="cut", threads=1, shard_digits=1)
torch.set_num_threads(1)
family = families.build(name, Path(base))
family.encode_pictures(np.zeros((1, side, side, 3), np.uint8)), family.encode_prompts(["a"]), family.tokens_lost(["a"])
families.build = lambda *_, **__: family
start = time.process_time()
run(how, base=Path(base), prepared=Path(prepared), out=Path(out))
print(time.process_time() - start)
"""


def prepared(folder: Path, count: int, side: int) -> Path:
    """What prepare would leave of ``count`` pictures of noise."""
    files, rows = {}, []
    for number in range(count):
        frame = hashlib.sha256(f"picture {number}".encode()).hexdigest()
        png = encode_png(np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8))
        files[f"{frame}-00"] = png
        values = {"frame": frame, "variant": 0, "text": f"a photo of number {number}", "role": "subject"}
        sizes = {"width": side, "height": side, "source_width": side, "source_height": side}
        digest = hashlib.sha256(png).hexdigest()
        rows.append(
            values
            | sizes
            | {"split": "train", "group": frame, "crop_left": 0, "crop_top": 0, "digest": digest, "weight": 1.0}
        )
    places = shards.write(folder, files, digits=1)
    ids = (f"{row['frame']}-00" for row in rows)
    tables.write(folder, Sample, [Sample(**row, id=id, place=places[id]) for row, id in zip(rows, ids, strict=True)])
    tables.write(folder, Mask, [])
    return folder


def encoded(arguments: list[object], cache: Path) -> float:
    """What the stage spent in a process of its own."""
    environment = os.environ | {"DARKROOM_CACHE": str(cache), "DARKROOM_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STAGE, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print one line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="pictures of the first run")
    parser.add_argument("--side", type=int, default=64, help="pixels")
    parser.add_argument("--family", default="tiny")
    parser.add_argument(
        "--base", type=Path, default=ROOT / "stages/base/shipped/photographs", help="a diffusers folder"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        place = Path(home)
        sets = {count: prepared(place / str(count), count, asked.side) for count in (asked.count, asked.count + 1)}
        runs = (("first", asked.count), ("again", asked.count), ("one more", asked.count + 1))
        first = 0.0
        for name, count in runs:
            how = [asked.family, str(asked.base), str(sets[count]), str(place / name), asked.side]
            spent = encoded(how, place / "cache")
            first = first or spent
            print(f"{name:9} {count:6} pictures {spent:8.3f} CPU s {spent / first:7.2%} of the first")


if __name__ == "__main__":
    main()
