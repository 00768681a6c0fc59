import shutil
import subprocess

import pytest

from stages.errors import ConfigError
from stages.sweep import workspace


def written(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


MADE = ("data/crawl/a.tar", "multirun/x/y", ".venv/bin/python", ".dvc/cache/z", "mlruns/1")
KEPT = ("conf/config.yaml", "stages/a.py", "data/own/README.md", "data/reports/a.json", "dvc.yaml")


def names(project):
    return [name.as_posix() for name in workspace.files(project)]


def test_without_git_a_project_is_every_file_that_no_stage_made(tmp_path):
    written(tmp_path, *MADE, *KEPT, "stages/__pycache__/a.pyc")
    assert names(tmp_path) == sorted(KEPT)


def test_with_git_it_is_what_git_tracks_or_would_and_ones_own_pictures(tmp_path):
    written(tmp_path, *MADE, *KEPT, "data/own/mine.jpg", "notes.txt")
    (tmp_path / ".gitignore").write_text("/data/own/*.jpg\nnotes.txt\n/data/crawl\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert names(tmp_path) == sorted([*KEPT, ".gitignore", "data/own/mine.jpg"])


def test_results_make_no_other_project(tmp_path):
    written(tmp_path, *KEPT, "params.yaml", "dvc.lock")
    before = workspace.digest(tmp_path)
    for name in ("params.yaml", "dvc.lock", "data/reports/a.json"):
        (tmp_path / name).write_text("other")
    assert workspace.digest(tmp_path) == before
    (tmp_path / "conf" / "config.yaml").write_text("other")
    assert workspace.digest(tmp_path) != before


def test_a_snapshot_is_made_once_and_edits_do_not_reach_it(tmp_path):
    project, copy = tmp_path / "project", tmp_path / "copy"
    written(project, *KEPT)
    workspace.snapshot(project, copy)
    (project / "dvc.yaml").write_text("edited")
    workspace.snapshot(project, copy)
    assert (copy / "dvc.yaml").read_text() == "dvc.yaml"


def test_a_copy_shares_the_cache_and_does_without_git(toy, tmp_path):
    workspace.snapshot(toy, tmp_path / "snapshot")
    workspace.make(tmp_path / "snapshot", toy, tmp_path / "job")
    local = (tmp_path / "job" / ".dvc" / "config.local").read_text()
    assert f"dir = {toy / '.dvc' / 'cache'}" in local
    assert "no_scm = true" in local
    shutil.rmtree(toy / ".dvc")
    with pytest.raises(ConfigError, match=r"has no \.dvc/config"):
        workspace.make(tmp_path / "snapshot", toy, tmp_path / "other")
