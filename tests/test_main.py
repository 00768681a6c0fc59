import errno
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stages import __main__ as front
from stages import config, params
from stages.errors import TableError

ROOT = Path(__file__).parent.parent
STAGES = sorted(folder.parent.name for folder in (ROOT / "stages").glob("*/stage.py"))


@config.settings
class Config:
    """What the stage of these tests reads."""

    side: int
    name: str


@pytest.fixture
def project(tmp_path, monkeypatch, caplog):
    (tmp_path / "params.yaml").write_text("clean: {side: 8, name: x}\n")
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    yield tmp_path
    logging.captureWarnings(capture=False)


def staged(monkeypatch, run):
    """Put ``run`` where the front door finds the stage clean."""
    stage = ModuleType("stages.clean.stage", "A stage of these tests.")
    stage.Config, stage.run = Config, run
    monkeypatch.setitem(sys.modules, "stages.clean.stage", stage)


def raising(error):
    def run(config, *, out):
        raise error

    return run


WORDS = ["clean", "--out", "data/clean", "--report", "data/reports/clean.json"]


def test_a_stage_is_given_its_section_and_its_paths_and_its_report_is_written(project, monkeypatch, caplog):
    given = {}

    def run(config, *, measured, out):
        given.update(config=config, measured=measured, out=out)
        return {"kept": 1234, "share": 0.123456, "b": 0}

    staged(monkeypatch, run)
    assert front.main([*WORDS, "--measured", "data/measure"]) == 0
    assert given == {"config": Config(side=8, name="x"), "measured": Path("data/measure"), "out": Path("data/clean")}
    report = (project / "data/reports/clean.json").read_text()
    assert report == '{\n  "b": 0,\n  "kept": 1234,\n  "share": 0.123456\n}\n'
    assert caplog.messages[-1] == "clean: kept 1,234, share 0.1235"


def test_a_long_report_is_shown_in_part_and_written_whole(project, monkeypatch, caplog):
    staged(monkeypatch, lambda config, *, out: {f"n{number}": number for number in range(30)})
    assert front.main(WORDS) == 0
    assert caplog.messages[-1].endswith(f"and {29 - front.MOST} more")  # 0 is not shown
    assert len(json.loads((project / "data/reports/clean.json").read_text())) == 30


@pytest.mark.parametrize("words", [[], ["cleen"], [""], ["web"], ["__main__"], ["--help"], ["compose"]])
def test_an_unknown_stage_is_answered_with_those_that_there_are(project, caplog, words):
    assert front.main(words) == 1
    assert caplog.messages == [f"usage: python -m stages STAGE --FOLDER PATH …; the stages are: {', '.join(STAGES)}"]
    assert len(STAGES) >= 14


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS[:3], "required: --report"),
        (["clean", *WORDS[3:]], "required: --out"),
        ([*WORDS, "--nope", "x"], "unrecognized arguments: --nope x"),
        ([*WORDS, "x"], "unrecognized arguments: x"),
    ],
)
def test_a_wrong_flag_is_answered_with_the_right_ones(project, monkeypatch, capsys, words, said):
    staged(monkeypatch, raising(AssertionError()))
    with pytest.raises(SystemExit) as leaving:
        front.main(words)
    assert leaving.value.code == 2
    assert said in capsys.readouterr().err


def test_wrong_values_are_one_message_that_names_them_all_and_the_stage_does_not_run(project, monkeypatch, caplog):
    staged(monkeypatch, raising(AssertionError()))
    (project / "params.yaml").write_text("clean: {side: large, names: x}\n")
    assert front.main(WORDS) == 1
    (message,) = caplog.messages
    assert message.splitlines()[0] == "params.yaml: clean: values that do not fit (edit conf/, not params.yaml)"
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == ["side", "name", "names"]
    assert not (project / "data").exists()


@pytest.mark.parametrize("text", [None, "", "frames: {}", "<<<<<<< HEAD\na: 1\n=======\n"])
def test_without_its_section_a_stage_says_how_to_compose_it(project, monkeypatch, caplog, text):
    staged(monkeypatch, raising(AssertionError()))
    (project / "params.yaml").unlink()
    if text is not None:
        (project / "params.yaml").write_text(text)
    assert front.main(WORDS) == 1
    assert "`python -m stages.params` composes" in caplog.messages[-1]


def test_what_the_user_can_put_right_is_one_message_and_no_report(project, monkeypatch, caplog):
    staged(monkeypatch, raising(TableError("data/measure: nothing; make it")))
    assert front.main(WORDS) == 1
    assert caplog.messages == ["data/measure: nothing; make it"]
    assert not (project / "data").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_message(project, monkeypatch, caplog, number):
    staged(monkeypatch, raising(OSError(number, "full")))
    assert front.main(WORDS) == 1
    message = "clean: the disk is full; free some space and run `dvc repro` again, it goes on from here"
    assert caplog.messages == [message]


def test_a_full_disk_that_a_library_wraps_is_the_same_message(project, monkeypatch, caplog):
    error = RuntimeError("cannot serialise")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    staged(monkeypatch, raising(error))
    assert front.main(WORDS) == 1
    assert "the disk is full" in caplog.messages[-1]


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.EACCES, "denied"), KeyError("id")])
def test_a_bug_keeps_its_traceback(project, monkeypatch, error):
    staged(monkeypatch, raising(error))
    with pytest.raises(type(error)):
        front.main(WORDS)


def test_who_interrupts_a_stage_gets_no_traceback(project, monkeypatch):
    staged(monkeypatch, raising(KeyboardInterrupt()))
    assert front.main(WORDS) == 130


def shown(folder, *words):
    command = [sys.executable, "-m", "stages", *words]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def test_the_command_line_says_what_is_wrong_and_shows_no_traceback(tmp_path):
    text = params.composed()
    (tmp_path / "params.yaml").write_text(text.replace("max_stills: ", "max_stills: -").replace("every_s: ", "every: "))
    done = shown(tmp_path, "frames", "--crawled", "a", "--out", "b", "--report", "c")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]] == [
        "stills.every_s",
        "stills.max_stills",
        "stills.every",
    ]


def test_the_command_line_knows_its_stages_without_importing_any(tmp_path):
    done = shown(tmp_path, "nope")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"{', '.join(STAGES)}\n")
