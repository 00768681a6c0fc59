import dataclasses
import logging

import pytest

from stages import tables
from stages.dataset.__main__ import main
from stages.records import Ruling


def run(project, out, *arguments):
    return main([*arguments, "--data", str(project), "--out", str(out)])


@pytest.mark.parametrize("name", ["imagefolder", "kohya", "parquet", "webdataset"])
def test_every_format_comes_with_a_card(name, project, tmp_path):
    assert run(project, tmp_path / "out", name) == 0
    assert "## Credits" in (tmp_path / "out" / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_it_says_how_many_and_where(project, tmp_path, capsys):
    run(project, tmp_path / "out", "kohya", "--variants", "--in-house")
    assert capsys.readouterr().out.splitlines()[0] == f"7 pictures in {tmp_path / 'out'}"


@pytest.fixture
def unpublished(project, tmp_path, tiny_ruling):
    """The project, with pictures chosen by a policy that lets nobody publish."""
    data = tmp_path / "data"
    data.mkdir()
    for folder in project.iterdir():
        if folder.name != "clean":
            (data / folder.name).symlink_to(folder)
    ruling = dataclasses.replace(tiny_ruling, policy="research", publish=False)
    tables.write(data / "clean", Ruling, [ruling])
    return data


def test_what_was_chosen_for_no_publication_needs_the_word_that_it_stays(unpublished, tmp_path, caplog):
    assert run(unpublished, tmp_path / "out", "parquet") == 1
    assert "the policy research chose these pictures for no publication; give --in-house" in caplog.text
    assert not (tmp_path / "out").exists()
    assert run(unpublished, tmp_path / "out", "parquet", "--in-house") == 0
    assert "**Not for publication**" in (tmp_path / "out" / "README.md").read_text()


def test_who_did_not_agree_to_be_shown_is_left_out_and_that_is_said(project, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    assert run(project, tmp_path / "out", "kohya") == 0
    assert caplog.messages == [
        "1 picture left out: the people in them did not agree to be shown; see scope in data/own/consent.yaml"
    ]
    assert run(project, tmp_path / "all", "kohya", "--in-house") == 0
    assert [line[:10] for line in capsys.readouterr().out.splitlines()[::2]] == ["5 pictures", "6 pictures"]


def test_what_is_there_is_never_overwritten(project, tmp_path, caplog):
    (tmp_path / "kept.txt").write_text("mine")
    assert run(project, tmp_path, "parquet") == 1
    assert "holds something already" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_file_in_the_way_is_said(project, tmp_path, caplog):
    (tmp_path / "out").write_text("")
    assert run(project, tmp_path / "out", "parquet") == 1
    assert "holds something already" in caplog.text


def test_an_empty_folder_may_be_filled(project, tmp_path):
    (tmp_path / "out").mkdir()
    assert run(project, tmp_path / "out", "parquet") == 0


def test_augmented_pictures_have_no_whole_form(project, tmp_path, caplog):
    assert run(project, tmp_path / "out", "kohya", "--variants", "--pixels", "whole") == 1
    assert "--variants" in caplog.text


def test_a_project_that_never_ran_is_said(tmp_path, caplog):
    assert run(tmp_path / "nothing", tmp_path / "out", "kohya") == 1
    assert "dvc repro" in caplog.text
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_names_those_that_there_are(project, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(project, tmp_path / "out", "coco")
    assert "imagefolder" in capsys.readouterr().err
