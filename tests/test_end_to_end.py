"""The pipeline as a user runs it: ``dvc repro`` in a copy of the project, with caches of its own."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from safetensors import safe_open

from stages import shards, tables
from stages.records import Generation

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

DATA_SIDE = ("compose", "crawl", "frames", "measure", "clean", "anonymise", "caption", "prepare")
ARMS = ("base", "adapter")
MODEL_SIDE = ("base", "encode", "train", "generate", "evaluate")
EXPERIMENTS = {  # the families' own path on random weights, and what their adapters' tensors are called
    "tiny-sd15": "unet.",
    "tiny-sdxl": "unet.",
    "tiny-sd35": "transformer.",
    "tiny-flux": "transformer.",
}
SMALL = (
    "source=folder",
    "caption.subject=coins",
    *("clean.min_sharpness=0.0", "clean.twin_distance=0", "prepare.group_distance=0", "detector=lbp"),
    *("train.steps=4", "train.batch=2", "train.curve_every=4", "train.checkpoint_every=2"),
    *("family.lr=1.0", "generate.subject_pictures=2", "generate.prior_pictures=2", "evaluate.resamples=2"),
    "measure.threads=1",  # which the other stages take over
)

pytestmark = pytest.mark.slow


class Project:
    """A copy of this working tree, committed to a repository of its own."""

    def __init__(self, folder, cache):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DARKROOM_CACHE": str(cache),
        }
        for name in ("OMP_NUM_THREADS", "MLFLOW_TRACKING_URI"):  # left by conftest.py and by MLflow; users have neither
            self.environment.pop(name, None)

    def run(self, *command, check=True):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def repro(self, *arguments, check=True):
        return self.run("dvc", "repro", *arguments, check=check)

    def ran(self, *arguments):
        """The stages that ``dvc repro`` really ran."""
        lines = self.repro(*arguments).stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def report(self, stage):
        return json.loads((self.folder / f"data/reports/{stage}.json").read_text())

    def edit(self, name, old, new):
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def changed(self):
        return self.run("git", "status", "--porcelain").stdout.splitlines()


def copied(folder, cache):
    """The files that git would commit, in ``folder``, committed there."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    project = Project(folder, cache)
    project.run("git", "init", "--quiet")
    for key, value in (("user.name", "Tester"), ("user.email", "tester@example.org")):
        project.run("git", "config", key, value)
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "copy")
    return project


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The data side of the default run, once, from nothing."""
    folder = tmp_path_factory.mktemp("prepared")
    project = copied(folder / "project", folder / "cache")
    project.repro("prepare")
    return project


@pytest.fixture
def project(prepared, tmp_path):
    """A copy of the prepared project, DVC's cache included, to do with as a test likes."""
    shutil.copytree(prepared.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", tmp_path / "cache")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits experiment, composed and run once from nothing."""
    folder = tmp_path_factory.mktemp("digits")
    project = copied(folder / "project", folder / "cache")
    project.run("dvc", "exp", "run", "-S", "+experiment=digits")
    return project


def test_the_adapter_learns_nine_and_the_old_digits_are_kept(digits):
    scores = digits.report("evaluate")
    assert scores["judged_right_subject/base"] < 0.10
    assert scores["judged_right_subject/adapter"] > 0.85
    assert scores["judged_right_prior/base"] > 0.95
    assert scores["judged_right_prior/adapter"] > 0.95
    assert scores["heldout_loss/high"] < 0
    assert scores["fd_filters/high"] < 0


def test_what_was_run_is_not_run_again(digits):
    assert digits.ran() == []
    assert "up to date" in digits.repro().stdout


def test_the_run_is_in_mlflow_once_and_registered(digits):
    for _ in range(2):
        digits.repro("--force", "--single-item", "track", "register")
    code = (
        "import mlflow, json; mlflow.set_tracking_uri('sqlite:///mlflow.db'); c = mlflow.MlflowClient();"
        "runs = c.search_runs([e.experiment_id for e in c.search_experiments()]);"
        "v = c.search_model_versions(\"name='darkroom-lora'\");"
        "print(json.dumps([[r.info.status for r in runs], runs[0].data.metrics['evaluate/heldout_loss/adapter'],"
        "len(v), v[0].tags, c.get_model_version_by_alias('darkroom-lora', 'candidate').version,"
        "[f.path for f in c.list_artifacts(runs[0].info.run_id)]]))"
    )
    statuses, loss, versions, tags, candidate, files = json.loads(digits.run(sys.executable, "-c", code).stdout)
    assert statuses == ["FINISHED"]
    assert loss == pytest.approx(digits.report("evaluate")["heldout_loss/adapter"])
    assert (versions, candidate) == (1, 1)
    assert {"darkroom.result", "git.commit", "dvc.lock", "data.data/prepare"} <= set(tags)
    assert {"report.html", "dvc.lock", "pictures", "images"} <= set(files)


def test_a_threshold_that_changes_no_verdict_runs_clean_alone(digits):
    digits.edit("conf/clean.yaml", "min_contrast: 5.0", "min_contrast: 5.5")
    digits.run("dvc", "exp", "run", "-S", "+experiment=digits")
    digits.edit("conf/clean.yaml", "min_contrast: 5.5", "min_contrast: 5.0")
    done = digits.run("dvc", "exp", "run", "-S", "+experiment=digits")
    assert "Running stage 'train'" not in done.stdout


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A project over twelve pictures of a folder, half of them of the subject; every family runs in it in turn."""
    folder = tmp_path_factory.mktemp("studio")
    project = copied(folder / "project", folder / "cache")
    for number in range(12):
        colours = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = cv2.resize(colours, (96, 96), interpolation=cv2.INTER_CUBIC)
        name = f"{number:02}_{'coins' if number % 2 else 'grass'}.png"
        cv2.imwrite(str(project.folder / "data" / "own" / name), picture)
    (project.folder / "data" / "own" / "rights.yaml").write_text('"*": {licence: CC0-1.0}\n')
    return project


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_family_goes_through_all_its_stages_and_its_adapter_changes_what_is_drawn(studio, experiment):
    studio.run(sys.executable, "-m", "stages.params", f"+experiment={experiment}", *SMALL)
    assert set(MODEL_SIDE) <= set(studio.ran("evaluate"))
    with safe_open(studio.folder / "data/train/adapter.safetensors", "pt") as file:
        assert all(name.startswith(EXPERIMENTS[experiment]) for name in file.keys())  # noqa: SIM118 - no mapping
    assert studio.report("train")["steps"] == 4
    scores = studio.report("evaluate")
    assert scores["heldout_loss/adapter"] != scores["heldout_loss/base"]
    rows = tables.read(studio.folder / "data/generate", Generation)
    drawn = {
        arm: {shards.read(studio.folder / "data/generate", row.place) for row in rows if row.arm == arm} for arm in ARMS
    }
    assert len(rows) == 8
    assert not drawn["base"] & drawn["adapter"]


def test_overrides_survive_a_plain_repro_and_an_edit_of_conf_reaches_it(project):
    done = project.run("dvc", "exp", "run", "-S", "clean.min_contrast=6.5", "-S", "train.rank=8", "clean")
    assert "Running stage 'clean'" in done.stdout
    assert "Running stage 'measure'" not in done.stdout
    assert project.ran("clean") == []
    values = yaml.safe_load((project.folder / "params.yaml").read_text())
    assert (values["clean"]["min_contrast"], values["train"]["rank"]) == (6.5, 8)
    project.edit("conf/clean.yaml", "min_brightness: 10.0", "min_brightness: 9.0")
    assert project.ran("clean") == ["compose", "clean"]
    values = yaml.safe_load((project.folder / "params.yaml").read_text())
    assert (values["clean"]["min_brightness"], values["clean"]["min_contrast"]) == (9.0, 5.0)


def test_a_params_file_edited_by_hand_is_refused_with_a_diff(project):
    project.edit("params.yaml", "  steps: 450", "  steps: 451")
    done = project.repro("clean", check=False)
    assert done.returncode != 0
    assert "train.steps: 450 -> 451" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_wrong_value_is_one_message_and_the_next_run_goes_on(project):
    done = project.run("dvc", "exp", "run", "-S", "clean.twin_distance=many", "clean", check=False)
    assert "clean.twin_distance: Input should be a valid integer, not 'many'" in done.stdout + done.stderr
    assert "twin_distance" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    project.run(sys.executable, "-m", "stages.params")
    assert set(project.ran("clean")) <= {"compose"}


def test_it_runs_in_a_worktree_and_in_a_folder_without_git(project, tmp_path):
    project.run("git", "worktree", "add", "--quiet", str(tmp_path / "tree"))
    tree = Project(tmp_path / "tree", tmp_path / "cache")
    shutil.copytree(project.folder, tmp_path / "plain", ignore=shutil.ignore_patterns(".git"))
    plain = Project(tmp_path / "plain", tmp_path / "cache")
    shutil.rmtree(tmp_path / "plain" / "data" / "clean")
    assert "clean" in tree.ran("clean")
    plain.repro("clean")
    rows = [(each.folder / "data/clean/verdict.jsonl").read_bytes() for each in (project, tree, plain)]
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize("content", [b"", b"schema: '2.0'\nstages:\n  crawl:\n    cmd: [", b"\x00\x00"])
def test_a_lock_file_that_a_full_disk_left_broken_does_not_stop_the_next_run(project, content):
    whole = _entries((project.folder / "dvc.lock").read_bytes())
    (project.folder / "dvc.lock").write_bytes(content)
    assert "measure" not in project.ran("prepare")  # it comes back from the cache
    found = _entries((project.folder / "dvc.lock").read_bytes())
    assert found == {name: whole[name] for name in found}
    assert set(DATA_SIDE) <= set(found)


def test_killed_again_and_again_at_any_moment_the_last_run_gives_the_same_bytes(prepared, tmp_path):
    undisturbed = _entries((prepared.folder / "dvc.lock").read_bytes())
    killed = copied(tmp_path / "killed", tmp_path / "cache")
    moments = random.Random(0)
    for _ in range(3):  # each goes on where the one before was stopped
        process = subprocess.Popen(
            ["dvc", "repro", "prepare"],
            cwd=killed.folder,
            env=killed.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moments.uniform(0.5, 8))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    killed.repro("prepare")
    found = _entries((killed.folder / "dvc.lock").read_bytes())
    assert set(DATA_SIDE) <= set(found)  # a lock cut off in writing is removed: the stages not asked for are gone
    assert found == {name: undisturbed[name] for name in found}


def _entries(lock):
    return yaml.safe_load(lock)["stages"]
