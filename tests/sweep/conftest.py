import os
import subprocess
import sys

import pytest

DVC = """\
stages:
  crawl:
    cmd: {python} toy.py crawl
    deps: [toy.py]
    outs: [data/crawl]
  train:
    cmd: {python} toy.py train
    deps: [toy.py, data/crawl]
    params: [train]
    outs: [data/train]
    metrics: [data/reports/train.json: {{cache: false}}]
  track:
    cmd: {python} toy.py track
    deps: [toy.py, data/train]
    outs: [data/track]
"""
TOY = """\
import json, os, pathlib, sys, time

import yaml

stage = sys.argv[1]
with open(pathlib.Path(os.environ["TOY_LOG"]), "a") as log:
    log.write(stage + "\\n")
values = yaml.safe_load(open("params.yaml"))["train"]
if stage == "track" and os.environ.get("TOY_AWAY"):
    sys.exit("nobody answers")
pathlib.Path("data/reports").mkdir(parents=True, exist_ok=True)
if stage == "train":
    if values["rank"] == 13:
        sys.exit("rank 13 brings bad luck")
    watch = os.environ.get("DARKROOM_WATCH")
    for step in range(1, values["steps"] + 1):
        if watch:
            with open(pathlib.Path(watch, "points.jsonl"), "a") as points:
                points.write(json.dumps({"step": step, "value": values["rate"]}) + "\\n")
            time.sleep(values["pause"])
            if pathlib.Path(watch, "stop").exists():
                sys.exit("stopped")
    loss = (values["rate"] - 0.3) ** 2 + values["rank"] / 1000
    numbers = {"loss/delta": loss, "loss/low": loss - 0.01, "loss/high": loss + 0.01, "size": values["rank"]}
    pathlib.Path("data/reports/train.json").write_text(json.dumps(numbers))
pathlib.Path("data", stage).write_text(json.dumps(values) if stage != "crawl" else "pictures")
"""
CONF = """\
defaults: [_self_]
train: {rank: 4, rate: 0.1, steps: 1, pause: 0.0}
sweep: {objectives: [train/loss/delta], directions: [minimize]}
"""
OPTUNA = """\
_target_: hydra_plugins.darkroom_optuna.Optuna
trials: 4
at_once: 2
seed: 0
startup: 2
prune: true
keep: 50.0
warmup: 0
params: {train.rate: 'interval(0.0,1.0)'}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A project of three stages that write a line into ``toy.log`` whenever one really runs."""
    from stages.params import ROOT

    project = tmp_path / "toy"
    (project / "conf" / "hydra_plugins").mkdir(parents=True)
    (project / "conf" / "hydra" / "sweeper").mkdir(parents=True)
    (project / "conf" / "config.yaml").write_text(CONF)
    (project / "conf" / "hydra" / "sweeper" / "optuna.yaml").write_text(OPTUNA)
    for plugin in (ROOT / "conf" / "hydra_plugins").glob("*.py"):
        (project / "conf" / "hydra_plugins" / plugin.name).write_bytes(plugin.read_bytes())
    (project / "dvc.yaml").write_text(DVC.format(python=sys.executable))
    (project / "toy.py").write_text(TOY)
    (project / ".dvcignore").write_text("multirun\n")
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    no_scm = true\n    check_update = false\n"
    )
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "toy.log"))
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def sweep(toy):
    """Run ``python -m stages.sweep`` in the toy project."""
    from stages.params import ROOT

    def run(*arguments):
        command = [sys.executable, "-m", "stages.sweep", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, check=False, cwd=toy, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture
def ran(tmp_path):
    """How often each stage really ran."""

    def counted():
        lines = (tmp_path / "toy.log").read_text().split() if (tmp_path / "toy.log").is_file() else []
        return {stage: lines.count(stage) for stage in sorted(set(lines))}

    return counted
