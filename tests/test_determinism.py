"""The data stages leave the same bytes on another machine, on another day, by other workers.

One small project goes through crawl to prepare as dvc.yaml has it, each time in a process of its own, and every file
below data/ is compared.
"""

import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest
import yaml

from stages import params, specimens, tables
from stages.images import encode_jpeg, encode_png
from stages.records import Caption, Failure, Frame, Item, Quality, Redaction, Sample, Verdict

ROOT = Path(__file__).parent.parent
STAGES = ("crawl", "frames", "measure", "clean", "anonymise", "caption", "prepare")
TABLES = (Item, Frame, Quality, Verdict, Redaction, Caption, Sample)
OVERRIDES = ("source=folder", "caption.subject=cat", "prepare.augment.variants=2")
RIGHTS = '"*": {licence: CC0-1.0, author: Ångström}\n'

PROGRAM = """
import json, locale, os, sys, time

class Backwards(list):
    "What os.scandir gives, the other way round."
    def __init__(self, entries): super().__init__(reversed(sorted(entries, key=lambda each: getattr(each, "name", each))))
    def __enter__(self): return iter(self)
    def __exit__(self, *_): return None

if os.environ.get("BACKWARDS"):
    scandir, listdir = os.scandir, os.listdir
    os.scandir = lambda *arguments: Backwards(scandir(*arguments))
    os.listdir = lambda *arguments: list(Backwards(listdir(*arguments)))

from stages.__main__ import main

for command in json.loads(sys.argv[1]):
    if code := main(command):
        sys.exit(code)
facts = [os.listdir("data/own")[0], locale.getpreferredencoding(False), time.tzname, hash("a"), os.getcwd()]
print(json.dumps(facts))
"""


def film():
    """A pan over a photograph, then over another, as an MP4 of 20 frames."""
    buffer, pictures = io.BytesIO(), [specimens.photograph(name) for name in ("rocket", "coffee")]
    with av.open(buffer, "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.time_base = 160, 128, Fraction(1, 1000)
        for number in range(20):
            left = 100 + 4 * number
            part = pictures[number // 10][100:228, left : left + 160]
            frame = av.VideoFrame.from_ndarray(part.copy(), format="rgb24")
            frame.pts, frame.time_base = 100 * number, Fraction(1, 1000)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def own():
    """The user's own files by name: faces, near-duplicates, a video, something broken, and words in two alphabets."""
    cat, astronaut, grass = (specimens.photograph(name) for name in ("chelsea", "astronaut", "grass"))
    files = {"rights.yaml": RIGHTS.encode(), "films/pan.mp4": film(), "broken.jpg": b"no picture"}
    for number in range(6):
        part = cat[10 * number : 10 * number + 220, 35 * number : 35 * number + 230]
        files[f"cats/cat_{number}.png"] = encode_png(part)
        files[f"grass/{number}.jpg"] = encode_jpeg(grass[40 * number : 40 * number + 200, :240], quality=90)
        files[f"grass/{number}.txt"] = f"трава {number}, grass".encode()
    smaller = cv2.resize(cat[:220, :230], None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    return files | {"cats/twin of cat_0.png": encode_png(smaller), "Astronaut.png": encode_png(astronaut)}


def commands(stages):
    """What dvc.yaml runs for each of ``stages``, without the interpreter."""
    defined = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return [shlex.split(defined[stage]["cmd"])[3:] for stage in stages]


def left_by(own, folder, *, stages=STAGES, **environment):
    """The digest of every file that ``stages`` leave in ``folder``, and what was different in their process."""
    for name, content in own.items():
        file = folder / "data/own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "params.yaml").write_text(params.composed(OVERRIDES), encoding="utf-8")
    settings = {"PYTHONPATH": str(ROOT), "DARKROOM_WORKERS": "2", "PYTHONHASHSEED": "1", "TZ": "UTC"} | environment
    command = [sys.executable, "-c", PROGRAM, json.dumps(commands(stages))]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    files = [file for file in (folder / "data").rglob("*") if file.is_file() and "own" not in file.parts]
    digests = {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return digests, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def expected(own, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    return folder, *left_by(own, folder)


pytestmark = pytest.mark.slow


def test_the_small_project_has_work_for_every_stage(expected):
    folder, digests, _ = expected
    rows = {
        table.__name__: [row for stage in STAGES for row in there(folder / "data" / stage, table)] for table in TABLES
    }
    assert all(rows.values()), {name: len(found) for name, found in rows.items()}
    assert {row.keep for row in rows["Verdict"]} == {True, False}
    assert [row.store for row in rows["Frame"]].count("frames") == 2
    assert there(folder / "data/measure", Failure)
    assert len([name for name in digests if name.startswith("data/reports/")]) == len(STAGES)


def there(folder, table):
    return tables.read(folder, table) if tables.path(folder, table).is_file() else []


def test_the_bytes_do_not_depend_on_folder_order_hash_seed_locale_time_zone_and_workers(own, expected, tmp_path):
    other = {"BACKWARDS": "1", "PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu", "DARKROOM_WORKERS": "5"}
    ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    _, digests, facts = expected
    found, others = left_by(dict(reversed(own.items())), tmp_path, **other, **ascii_only)
    assert [one == another for one, another in zip(facts, others, strict=True)] == [False] * 5
    assert found == digests


def test_other_processes_leave_the_same_bytes(own, expected, tmp_path):
    found, _ = left_by(own, tmp_path, DARKROOM_ENGINE="processes")
    assert found == expected[1]


def test_a_cluster_leaves_the_same_bytes(own, expected, tmp_path, cluster):
    found, _ = left_by(own, tmp_path, stages=STAGES[:3], DARKROOM_ENGINE="ray", RAY_ADDRESS=cluster)
    assert len(found) >= 10
    assert found.items() <= expected[1].items()
