import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from stages import tracking
from stages.errors import TableError
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


# A training while it runs


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """Write what a training would have written, and follow it to its end."""
    monkeypatch.setattr(tracking.time, "sleep", lambda _: None)
    (tmp_path / "sample.png").write_bytes(encode_png(np.zeros((8, 8, 3), dtype=np.uint8)))
    first = {"step": 0, "pictures": {"samples/0-7": str(tmp_path / "sample.png")}}
    lines = [first, *({"step": step, "numbers": {"curve/loss": 1 - step / 20}} for step in (10, 20))]

    def follow(*more, ended="FINISHED", training="t"):
        text = "".join(json.dumps(line) + "\n" for line in [*lines, *more, {"step": 0, "ended": ended}])
        (tmp_path / "spool.jsonl").write_text(text)
        tracking.follow(tmp_path / "spool.jsonl", "one", training)

    return follow


def curve(client, run, name="curve/loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def pictures(client, run):
    names = [each.path.split("/")[-1].split("+") for each in client.list_artifacts(run.info.run_id, "images")]
    return sorted((parts[0], int(parts[2])) for parts in names if not parts[-1].endswith("compressed.webp"))


def test_a_training_is_a_run_while_it_runs_and_its_result_completes_that_run(mlflow_client, lock, logged, spool):
    spool()
    (live,) = runs(mlflow_client)
    assert live.info.status == "FINISHED"
    assert live.data.tags[tracking.TRAINING] == "t"
    assert tracking.RESULT not in live.data.tags
    assert curve(mlflow_client, live) == [(10, 0.5), (20, 0.0)]
    assert all(point.timestamp > 0 for point in mlflow_client.get_metric_history(live.info.run_id, "curve/loss"))
    assert pictures(mlflow_client, live) == [("samples~0-7", 0)]
    files = {"curve/loss": [(10, 0.5), (20, 0.0), (30, 0.25)]}
    assert tracking.log_result(lock(), "one", replace(logged, curves=files))
    (run,) = runs(mlflow_client)
    assert run.info.run_id == live.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags[tracking.RESULT] == lock().result
    assert curve(mlflow_client, run) == [(10, 0.5), (20, 0.0), (30, 0.25)]
    assert pictures(mlflow_client, run) == [("grid", 0), ("samples~0-7", 0), ("samples~0-7", 10)]
    assert run.data.params == dict(lock().params)


def test_a_training_that_goes_on_continues_its_run_and_repeats_nothing(mlflow_client, spool):
    spool(ended="KILLED")
    (first,) = runs(mlflow_client)
    assert first.info.status == "KILLED"
    spool({"step": 30, "numbers": {"curve/loss": 0.1}})
    (run,) = runs(mlflow_client)
    assert run.info.run_id == first.info.run_id
    assert run.info.status == "FINISHED"
    assert curve(mlflow_client, run) == [(10, 0.5), (20, 0.0), (30, 0.1)]
    assert pictures(mlflow_client, run) == [("samples~0-7", 0)]


def test_a_training_whose_result_stands_is_not_shown_again(mlflow_client, lock, logged, spool):
    spool()
    tracking.log_result(lock(), "one", logged)
    spool({"step": 30, "numbers": {"curve/loss": 0.1}})
    (run,) = runs(mlflow_client)
    assert 30 not in dict(curve(mlflow_client, run))


def test_a_second_result_of_one_training_is_a_run_of_its_own(mlflow_client, lock, logged, spool):
    spool()
    tracking.log_result(lock(), "one", logged)
    tracking.log_result(lock(("rank: 8", "rank: 16")), "one", logged)
    assert len(runs(mlflow_client)) == 2
    assert len({run.data.tags[tracking.RESULT] for run in runs(mlflow_client)}) == 2


def test_another_training_is_another_run(mlflow_client, spool):
    spool()
    spool(training="u")
    assert {run.data.tags[tracking.TRAINING] for run in runs(mlflow_client)} == {"t", "u"}


def test_a_store_that_is_locked_for_a_while_loses_nothing(mlflow_client, spool, monkeypatch):
    import mlflow

    carry, errors = tracking._carry, [OSError("away"), mlflow.MlflowException("database is locked")]

    def sometimes(*how):
        if errors:
            raise errors.pop()
        carry(*how)

    monkeypatch.setattr(tracking, "_carry", sometimes)
    spool()
    (run,) = runs(mlflow_client)
    assert not errors
    assert curve(mlflow_client, run) == [(10, 0.5), (20, 0.0)]
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("reachable", [True, False])
def test_a_follower_ends_when_its_training_is_gone(mlflow_client, tmp_path, monkeypatch, reachable):
    monkeypatch.setattr(tracking.time, "sleep", lambda _: None)
    parents = iter([1, 1, 2, 2, 2])
    monkeypatch.setattr(tracking.os, "getppid", lambda: next(parents))
    if not reachable:

        def away(*_):
            raise OSError

        monkeypatch.setattr(tracking, "_carry", away)
    (tmp_path / "spool.jsonl").write_text('{"step": 1, "numbers": {"live/loss": 0.5}}\n{"step": 2, "num')  # half a line
    tracking.follow(tmp_path / "spool.jsonl", "one", "t")
    (run,) = runs(mlflow_client)
    assert run.info.status == ("KILLED" if reachable else "RUNNING")
    assert run.data.metrics == ({"live/loss": 0.5} if reachable else {})


def test_the_run_that_the_launcher_made_is_used_and_ended_by_the_launcher(
    mlflow_client, lock, logged, spool, monkeypatch
):
    given = mlflow_client.create_run(mlflow_client.create_experiment("one")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    spool()
    (run,) = runs(mlflow_client)
    assert run.info.run_id == given
    assert run.info.status == "RUNNING"
    assert tracking.log_result(lock(), "one", logged)
    (run,) = runs(mlflow_client)
    assert run.data.tags[tracking.RESULT] == lock().result


def test_a_follower_is_a_process_that_says_nothing_on_the_terminal(monkeypatch, mlflow_home, tmp_path, capfd):
    (tmp_path / "spool.jsonl").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://")
    process = tracking.start(tmp_path / "spool.jsonl", "one", "t")
    process.join(60)
    assert process.exitcode == 1
    assert "nonsense" in (tmp_path / "spool.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_training_by_other_code_has_another_name():
    assert tracking.by_this_code("a") == tracking.by_this_code("a") != tracking.by_this_code("b")
    assert len(tracking.by_this_code("a")) == 32


def test_what_is_remembered_belongs_to_the_very_files(tmp_path):
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "adapter").write_text("1")
    tracking.remember(tmp_path / "trained", "t", {"seconds": 1.5})
    assert tracking.recall(tmp_path / "trained") == ("t", {"seconds": 1.5})
    (tmp_path / "trained" / "adapter").write_text("2")
    assert tracking.recall(tmp_path / "trained") == ("", {})


def test_a_launched_run_is_filled_and_concluded_below_its_parent(mlflow_client, tmp_path):
    parent = tracking.launch("sweeps", "sweep one", parent="", tags={"darkroom.sweep": "train.rank=1,2"})
    child = tracking.launch("sweeps", "0: train.rank=1", parent=parent.id, tags={})
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
