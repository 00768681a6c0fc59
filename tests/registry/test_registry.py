import shutil
import sqlite3
from pathlib import Path

import pytest

from stages import versions
from stages.records import Reading
from stages.registry import relocation
from stages.registry.__main__ import main


def aliases(client):
    return client.get_registered_model("coins-lora").aliases


def test_without_versions_the_list_says_how_to_make_one(project, capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "coins-lora: no version is registered yet; `dvc repro` registers what passes\n"
    assert main(["promote", "1"]) == 1


def test_versions_are_listed_compared_and_promoted(add, mlflow_client, capsys, caplog):
    add(0.5)
    add(0.4, rank=8)
    add(0.4, rank=16)
    add(0.3, restricted="not for publication, not commercial")
    add(0.2, definition="1" * 16)
    assert main(["promote", "1"]) == 0
    assert aliases(mlflow_client) == {"candidate": 5, "champion": 1}
    first = versions.get("coins-lora", 1)
    assert first.tags["promoted"] == "by the gate"

    # The champion gives way to what is better picture by picture, and to nothing else.
    assert main(["promote", "2"]) == 0
    second = versions.get("coins-lora", 2)
    assert (second.tags["gate.champion"], second.tags["promoted"]) == ("version 1", "by the gate")
    assert "- met: heldout_loss -0.1 (-0.1 … -0.1) against the champion: better\n" in second.description
    assert second.description.startswith("# A card\n")
    for number, why in [
        (1, "failed heldout_loss +0.1 (0.1 … 0.1) against the champion: worse"),
        (3, "open   heldout_loss +0 (0 … 0) against the champion: no evidence"),
        (5, "open   cannot be compared with the champion: their scores are defined differently"),
    ]:
        caplog.clear()
        assert main(["promote", str(number)]) == 1
        assert why in caplog.text
        assert '--anyway "the reason"' in caplog.text
    assert aliases(mlflow_client)["champion"] == 2

    # A reason overrules a score, and not what must not be published.
    assert main(["promote", "5", "--anyway", "more pictures"]) == 0
    assert aliases(mlflow_client) == {"champion": 5}
    assert versions.get("coins-lora", 5).description.endswith("It became champion, anyway: more pictures.\n")
    assert main(["promote", "1", "--anyway", "a way back"]) == 0
    caplog.clear()
    assert main(["promote", "4", "--anyway", "I want it"]) == 1
    assert "register.gate.in_house=true takes such a version" in caplog.text
    assert aliases(mlflow_client) == {"champion": 1}

    capsys.readouterr()
    assert main(["promote", "1"]) == 0
    assert main(["list"]) == 0
    said, head, *lines = capsys.readouterr().out.splitlines()
    assert said == "version 1 of coins-lora is champion already"
    assert head.split() == ["alias", "heldout_loss", "data", "date", "use"]
    day = f"{versions.get('coins-lora', 1).created}"
    assert lines[0] == f"   1  champion   0.5 (-0.6 … -0.4)           ab12cd34  {day}  any use"
    assert lines[3].endswith("in-house")
    assert max(map(len, lines)) <= 80

    assert main(["compare", "1", "2"]) == 0
    told = capsys.readouterr().out
    assert "heldout_loss            0.5 (-0.6 … -0.4)           0.4 (-0.6 … -0.4)\n" in told
    assert "version 2 against 1, 8 held-out pictures: heldout_loss -0.1 (-0.1 … -0.1)\n" in told
    assert told.endswith("parameters that differ:\ntrain.rank: 4 -> 8\n")
    assert main(["compare", "1", "5"]) == 0
    told = capsys.readouterr().out
    assert "left out: heldout_loss" in told
    assert "version 5 against 1: cannot be compared picture by picture: their scores are defined" in told
    assert "0.2 (" not in told


def test_a_version_that_is_not_there_is_an_error_with_those_that_are(add, caplog):
    add(0.5)
    assert main(["promote", "7"]) == 1
    assert "coins-lora: has no version 7; there are: 1" in caplog.text


def test_a_run_and_files_that_somebody_removed_are_said_and_break_nothing(add, mlflow_client, mlflow_home, capsys):
    add(0.5)
    add(0.4)
    shutil.rmtree(mlflow_home / "mlartifacts")
    mlflow_client.delete_run(versions.get("coins-lora", 1).run)
    with sqlite3.connect(mlflow_home / "mlflow.db") as base:
        base.execute("DELETE FROM params")
    assert main(["compare", "1", "2"]) == 0
    told = capsys.readouterr().out
    assert "cannot be compared picture by picture: the version has no values of single pictures" in told
    assert "parameters: not known, for a run was removed from MLflow" in told


def test_a_moved_project_finds_its_files_again(add, mlflow_home, tmp_path, monkeypatch, capsys, caplog):
    add(0.5)
    moved = tmp_path / "a new place"
    mlflow_home.rename(moved)
    monkeypatch.chdir(moved)
    monkeypatch.setenv("DVC_ROOT", str(moved))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = (moved / "mlflow.db").read_bytes()
    assert versions.rows(versions.get("coins-lora", 1), Reading) == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    # It shows first, and writes when it is told to.
    capsys.readouterr()
    assert main(["relocate"]) == 0
    told = capsys.readouterr().out
    assert {line.split(":")[0] for line in told.splitlines()[:-1]} == {f"{t}.{c}" for t, c in relocation.COLUMNS}
    assert f"to {moved.as_uri()}" in told
    assert told.endswith("nothing is written yet: add --yes\n")
    assert (moved / "mlflow.db").read_bytes() == before
    assert main(["relocate", "--yes"]) == 0
    assert capsys.readouterr().out.endswith("done; as it was before: mlflow.db.1.backup\n")
    assert len(versions.rows(versions.get("coins-lora", 1), Reading)) == 8
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["relocate", "--yes"]) == 0
    assert capsys.readouterr().out == "every address is right: nothing to mend\n"
    assert relocation.changes(moved / "mlflow.db.1.backup", moved)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere.test")
    assert main(["relocate"]) == 1
    assert "names a store elsewhere" in caplog.text


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("file:///old/home/mlartifacts", "file:///new%20home/mlartifacts"),
        ("file:///old/home/mlartifacts/7/run/artifacts", "file:///new%20home/mlartifacts/7/run/artifacts"),
        ("/old/home/mlruns/0", "/new home/mlruns/0"),
        ("file:///new%20home/mlartifacts/7", "file:///new%20home/mlartifacts/7"),
        ("file:///mlruns/it/mlartifacts/7", "file:///new%20home/mlartifacts/7"),
        ("s3://bucket/mlartifacts/7", "s3://bucket/mlartifacts/7"),
        ("mlflow-artifacts:/mlartifacts/7", "mlflow-artifacts:/mlartifacts/7"),
        ("/data/elsewhere/7", "/data/elsewhere/7"),
        ("/old/home/mlartifacts-2/7", "/old/home/mlartifacts-2/7"),
    ],
)
def test_only_addresses_in_the_projects_own_folders_are_changed(tmp_path, address, expected):
    store = tmp_path / "mlflow.db"
    with sqlite3.connect(store) as base:
        for table, column in relocation.COLUMNS:
            base.execute(f"CREATE TABLE {table} ({column} TEXT)")
        base.execute("INSERT INTO runs VALUES (?), (NULL)", (address,))
    relocation.apply(store, relocation.changes(store, Path("/new home")))
    with sqlite3.connect(store) as base:
        assert base.execute("SELECT artifact_uri FROM runs").fetchall() == [(expected,), (None,)]


@pytest.mark.parametrize("content", [None, b"", b"no data base at all, but text"])
def test_a_store_that_is_none_is_an_error(tmp_path, monkeypatch, content, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    assert main(["relocate", "--yes"]) == 1
    assert "mlflow.db" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ([] if content is None else ["mlflow.db"])
