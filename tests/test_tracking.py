import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from stages import tracking
from stages.errors import TableError, TrackingError
from stages.images import encode_png

LOCK = """\
schema: '2.0'
stages:
  compose:
    cmd: python -m stages.params --stage
    outs:
    - {path: params.yaml, md5: 00}
  crawl:
    cmd: python -m stages crawl
    outs:
    - {path: data/crawl, md5: aa.dir, size: 1}
  train:
    cmd: python -m stages train
    deps:
    - {path: data/crawl, md5: aa.dir, size: 1}
    params:
      params.yaml:
        train: {rank: 8, country: NO, optimisation: {lr: 0.001}}
    outs:
    - {path: data/train, md5: bb.dir, size: 2}
  track:
    cmd: python -m stages track
    params:
      params.yaml:
        track: {experiment: one}
    outs:
    - {path: data/track, md5: cc.dir}
  register:
    cmd: python -m stages register
    outs:
    - {path: data/register, md5: dd.dir}
"""


@pytest.fixture
def lock(tmp_path):
    """Read a dvc.lock: ours, with some of its text replaced."""

    def read(*changes):
        text = LOCK
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "dvc.lock").write_text(text)
        return tracking.read_lock(tmp_path / "dvc.lock")

    return read


@pytest.fixture
def logged(tmp_path):
    (tmp_path / "report.html").write_text("<p>")
    (tmp_path / "grid.png").write_bytes(encode_png(np.zeros((8, 8, 3), dtype=np.uint8)))
    return tracking.Logged(
        metrics={"train/loss": 0.5, "evaluate/fd": 3.0},
        curves={"curve/loss": [(0, 1.0), (10, 0.5)]},
        files=[tmp_path / "report.html"],
        pictures={"grid": tmp_path / "grid.png"},
        samples={("samples/0-7", 10): tmp_path / "grid.png"},
        training="t",
        datasets=["data/crawl"],
    )


def test_a_result_does_not_depend_on_bookkeeping(lock):
    result = lock().result
    assert lock(("cc.dir", "ee.dir"), ("dd.dir", "ff.dir"), ("md5: 00", "md5: 01")).result == result
    assert lock(("experiment: one", "experiment: two")).result == result
    assert len(result) == 16


@pytest.mark.parametrize(
    "change",
    [("rank: 8", "rank: 16"), ("bb.dir", "be.dir"), ("stages crawl", "stages crawl --x"), ("lr: 0.001", "lr: 0.002")],
)
def test_a_result_depends_on_commands_parameters_and_digests(lock, change):
    assert lock(change).result != lock().result


def test_the_digest_of_the_file_sees_everything(lock, tmp_path):
    one = lock(("cc.dir", "ee.dir"))
    assert one.digest == hashlib.sha256((tmp_path / "dvc.lock").read_bytes()).hexdigest() != lock().digest


def test_parameters_are_flat_and_outputs_have_their_digests(lock):
    found = lock()
    assert found.params == {"train.rank": "8", "train.country": "NO", "train.optimisation.lr": "0.001"}
    assert found.outs == {"data/crawl": "aa.dir", "data/train": "bb.dir"}


def test_no_is_a_country_and_not_false(lock):
    assert lock().params["train.country"] == "NO"


@pytest.mark.parametrize(
    "text", ["", "stages: [", "- a list", "schema: '2.0'\n", "<<<<<<< HEAD\nstages: {}\n", "plain"]
)
def test_a_broken_lock_is_an_error_that_says_what_to_do(tmp_path, text):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(TableError, match=r"is no dvc\.lock; remove it and `dvc repro`"):
        tracking.read_lock(tmp_path / "dvc.lock")


def test_a_missing_lock_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"is no dvc\.lock"):
        tracking.read_lock(tmp_path / "dvc.lock")


def runs(client, name="one"):
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def test_a_result_is_one_run_with_all_that_it_shows(mlflow_client, lock, logged):
    assert tracking.log_result(lock(), "one", logged)
    (run,) = runs(mlflow_client)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"train/loss": 0.5, "evaluate/fd": 3.0, "curve/loss": 0.5}
    assert run.data.params == dict(lock().params)
    assert run.data.tags[tracking.RESULT] == lock().result
    assert run.data.tags["dvc.lock"] == lock().digest
    history = mlflow_client.get_metric_history(run.info.run_id, "curve/loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (10, 0.5)]
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("data/crawl", "aa")
    assert json.loads(dataset.dataset.source)["url"] == "https://dvc.invalid/data/crawl"
    names = {each.path for each in mlflow_client.list_artifacts(run.info.run_id)}
    assert {"report.html", "pictures", "images"} <= names


def test_writing_a_result_twice_is_one_run(mlflow_client, lock, logged):
    assert tracking.log_result(lock(), "one", logged)
    first = runs(mlflow_client)
    assert not tracking.log_result(lock(("cc.dir", "ee.dir")), "one", replace(logged, metrics={"train/loss": 9.0}))
    assert [run.info.run_id for run in runs(mlflow_client)] == [run.info.run_id for run in first]


def test_another_result_is_another_run(mlflow_client, lock, logged):
    assert tracking.log_result(lock(), "one", logged)
    assert tracking.log_result(lock(("rank: 8", "rank: 16")), "one", logged)
    assert {run.data.params["train.rank"] for run in runs(mlflow_client)} == {"8", "16"}


def test_a_run_that_was_broken_off_is_replaced(mlflow_client, lock, logged):
    where = mlflow_client.create_experiment("one")
    left = mlflow_client.create_run(where, tags={tracking.RESULT: lock().result}).info.run_id
    assert tracking.log_result(lock(), "one", logged)
    (run,) = runs(mlflow_client)
    assert run.info.run_id != left
    assert run.info.status == "FINISHED"


def test_many_and_long_parameters_fit(mlflow_client, lock, logged):
    many = replace(lock(), params={f"p{number}": "x" * 7000 for number in range(230)})
    assert tracking.log_result(many, "one", replace(logged, metrics={f"m{n}": float(n) for n in range(1500)}))
    (run,) = runs(mlflow_client)
    assert len(run.data.params) == 230
    assert {len(value) for value in run.data.params.values()} == {6000}
    assert len(run.data.metrics) == 1501


def test_the_store_lies_beside_dvc_yaml_and_nothing_elsewhere(mlflow_client, mlflow_home, lock, logged):
    tracking.log_result(lock(), "one", logged)
    assert {path.name for path in mlflow_home.iterdir()} == {"mlflow.db", "mlflow.lock", "mlartifacts"}
    assert mlflow_client.get_experiment_by_name("one").artifact_location == (mlflow_home / "mlartifacts").as_uri()


def test_outside_a_repository_there_is_no_commit(mlflow_client, lock, logged):
    tracking.log_result(lock(), "one", logged)
    assert "git.commit" not in runs(mlflow_client)[0].data.tags


def test_a_commit_and_its_state_are_named(mlflow_client, mlflow_home, lock, logged):
    import subprocess

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@t.test"]
        done = subprocess.run(["git", *who, *arguments], cwd=mlflow_home, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init")
    (mlflow_home / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    tracking.log_result(lock(), "one", logged)
    (mlflow_home / "file").write_text("2")
    tracking.log_result(lock(("rank: 8", "rank: 16")), "one", logged)
    tags = {run.data.params["train.rank"]: run.data.tags for run in runs(mlflow_client)}
    assert tags["8"]["git.commit"] == tags["16"]["git.commit"] == git("rev-parse", "HEAD")
    assert (tags["8"]["git.dirty"], tags["16"]["git.dirty"]) == ("False", "True")


# Runs that a launcher makes


def launched(number=0, parent=""):
    return tracking.launch("one", f"job {number}", only=("darkroom.job", f"s/{number}"), parent=parent)


def test_a_launched_run_is_filled_and_concluded_below_its_parent(mlflow_client, tmp_path):
    parent = tracking.launch("one", "sweep s", only=("darkroom.sweep", "s"), parent="")
    child = launched(parent=parent.id)
    assert child.environment() == {"MLFLOW_RUN_ID": child.id, "MLFLOW_TRACKING_URI": tracking.own_store()}
    (tmp_path / "dvc.log").write_text("all went well")
    tracking.conclude(child, "FINISHED", numbers={"loss": 0.5}, files=[tmp_path / "dvc.log"])
    tracking.conclude(parent, "FAILED", numbers={}, files=[])
    found = mlflow_client.get_run(child.id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"loss": 0.5}
    assert found.data.tags["mlflow.parentRunId"] == parent.id
    assert [each.path for each in mlflow_client.list_artifacts(child.id)] == ["dvc.log"]
    assert mlflow_client.get_run(parent.id).info.status == "FAILED"


def test_whoever_launches_again_finds_the_run_of_the_first_time(mlflow_client):
    first = launched()
    tracking.conclude(first, "KILLED", numbers={}, files=[])
    assert launched(1) != first == launched(parent="p")
    run = mlflow_client.get_run(first.id)
    assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("RUNNING", "p")
    mlflow_client.delete_run(first.id)
    assert launched() != first


def test_a_launched_run_is_filled_once_also_when_that_was_broken_off(mlflow_client, lock, logged, monkeypatch):
    first = launched()
    monkeypatch.setenv("MLFLOW_RUN_ID", first.id)
    assert tracking.log_result(lock(), "one", logged)
    mlflow_client.update_run(first.id, status="RUNNING")
    assert tracking.log_result(lock(), "one", logged)
    (run,) = runs(mlflow_client)
    assert run.info.run_id == first.id
    assert len(run.inputs.dataset_inputs) == 1
    assert len(mlflow_client.get_metric_history(first.id, "curve/loss")) == 2


def test_a_launched_run_that_was_deleted_meanwhile_loses_no_result(mlflow_client, lock, logged, monkeypatch, caplog):
    first = launched()
    monkeypatch.setenv("MLFLOW_RUN_ID", first.id)
    mlflow_client.delete_run(first.id)
    assert tracking.log_result(lock(), "one", logged)
    (run,) = runs(mlflow_client)
    assert run.info.run_id != first.id
    assert run.data.metrics["train/loss"] == 0.5
    assert f"the run {first.id} was deleted" in caplog.text
    with pytest.raises(TrackingError, match="must be in the 'active' state"):
        tracking.conclude(first, "FINISHED", numbers={"loss": 0.5}, files=[])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://somebody:secret@127.0.0.1:9", "MLflow at http://127.0.0.1:9: does not answer; nothing"),
        ("nonsense://somebody:secret@there", "MLflow at nonsense://there: .*nonsense"),
    ],
)
def test_a_store_that_does_not_answer_is_an_error_that_says_what_to_do(
    mlflow_home, lock, logged, monkeypatch, address, said
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=said) as caught:
        tracking.log_result(lock(), "one", logged)
    assert "nothing that was computed is lost" in str(caught.value)
    assert "secret" not in str(caught.value)
