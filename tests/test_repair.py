import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from stages import repair

GOOD = "schema: '2.0'\nstages:\n  clean:\n    cmd: python\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def test_a_project_in_order_is_left_alone(project):
    (project / "dvc.lock").write_text(GOOD)
    assert repair.mended(project) == []
    assert (project / "dvc.lock").read_text() == GOOD
    assert not (project / ".dvc" / "config.local").exists()


def test_a_project_without_a_lock_file_is_left_alone(project):
    assert repair.mended(project) == []
    assert not (project / "dvc.lock").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"schema: '2.0'\nstages:\n",
        b"stages:\n  clean: {cmd: [",
        b"stages:\n- a",
        b"\0" * 64,
        b"\xff\xfe\xfd",
    ],
)
def test_a_lock_file_that_is_empty_or_cut_off_is_removed_and_that_is_said(project, content):
    (project / "dvc.lock").write_bytes(content)
    lines = repair.mended(project)
    assert [line.split(":")[0] for line in lines] == ["dvc.lock"]
    assert not (project / "dvc.lock").exists()
    assert repair.mended(project) == []


def test_an_empty_project_has_a_lock_file_in_order(project):
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert repair.mended(project) == []


def test_without_git_dvc_is_told_so_once(project):
    (project / ".git").rmdir()
    assert repair.mended(project) == ["no git repository here: DVC was told to do without (.dvc/config.local)"]
    assert (project / ".dvc" / "config.local").read_text() == "[core]\n    no_scm = true\n"
    assert repair.mended(project) == []


def test_a_git_repository_above_is_one_too(project):
    below = project / "below"
    (below / ".dvc").mkdir(parents=True)
    assert repair.mended(below) == []


def test_settings_of_the_user_are_never_overwritten(project):
    (project / ".git").rmdir()
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = /x\n")
    assert repair.mended(project) == []
    assert (project / ".dvc" / "config.local").read_text() == "[cache]\n    dir = /x\n"


def test_the_command_mends_and_then_is_dvc(project, monkeypatch, capsys):
    (project / ".git").rmdir()
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    (project / ".dvc" / "config").touch()
    (project / "dvc.lock").touch()
    monkeypatch.chdir(project)
    monkeypatch.setattr("sys.argv", ["dvc", "status"])
    assert repair.main() == 0
    assert not (project / "dvc.lock").exists()
    assert "dvc.lock: it was empty or cut off" in capsys.readouterr().err


def test_the_command_outside_a_project_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").touch()
    monkeypatch.setattr("sys.argv", ["dvc", "version", "--quiet"])
    repair.main()
    assert [file.name for file in tmp_path.iterdir()] == ["dvc.lock"]


def test_cut_off_anywhere_it_is_removed_or_is_what_dvc_reads(project):
    whole = (Path(__file__).resolve().parent.parent / "dvc.lock").read_bytes()
    lock, removed = project / "dvc.lock", 0
    for length in range(0, len(whole), len(whole) // 60):
        lock.write_bytes(whole[:length])
        removed += bool(repair.mended(project))
        if lock.exists():
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(lock.read_bytes()))
    assert removed > 10


@pytest.mark.parametrize(
    "arguments",
    [
        ["-S", "train.rank=abc"],
        ["-Strain.rank=abc"],
        ["--set-param", "params.yaml:train.rank=abc"],
        ["--set-param=train.rank=abc"],
    ],
)
def test_a_wrong_override_is_refused_however_it_is_given(arguments):
    assert "train.rank: Input should be a valid integer, not 'abc'" in repair.refused(["exp", "run", *arguments])
    assert "nope" in repair.refused(
        ["exp", "run", *[each.replace("train.rank=abc", "source=nope") for each in arguments]]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["repro"],
        [],
        ["exp", "run"],
        ["exp", "run", "-S", "train.rank=3", "-S", "source=folder"],
        ["exp", "show", "-S", "train.rank=abc"],
        ["exp", "run", "--queue", "-S", "train.rank=1,2,3"],
    ],
)
def test_what_is_right_or_is_no_override_is_left_to_dvc(arguments):
    assert repair.refused(arguments) == ""


def test_an_unknown_option_of_a_sweep_is_refused_too():
    said = repair.refused(["exp", "run", "--queue", "-S", "captioner=page,nope"])
    assert "there is no captioner 'nope'; there are: " in said


def test_a_refused_override_never_reaches_dvc(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setattr(repair.sys, "argv", ["dvc", "exp", "run", "-S", "source=nope"])
    assert repair.main() == 1
    assert capsys.readouterr().err.startswith("source=nope: there is no source 'nope'; ")
