import json
from dataclasses import replace

import numpy as np
import pytest

from stages import tracking, trainings
from stages.errors import TrackingError
from stages.images import encode_png

LOCK = tracking.Lock(result="r", params={"train.rank": "8"}, outs={"data/crawl": "aa.dir"}, digest="d")


@pytest.fixture
def logged(tmp_path):
    (tmp_path / "grid.png").write_bytes(encode_png(np.zeros((8, 8, 3), dtype=np.uint8)))
    return tracking.Logged(
        metrics={"train/loss": 0.5},
        curves={"curve/loss": [(0, 1.0), (10, 0.5)]},
        files=[tmp_path / "grid.png"],
        pictures={"grid": tmp_path / "grid.png"},
        samples={("samples/0-7", 10): tmp_path / "grid.png"},
        training="t",
        datasets=["data/crawl"],
    )


def runs(client, name="one"):
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """Write what a training would have written, and follow it to its end."""
    monkeypatch.setattr(trainings.time, "sleep", lambda _: None)
    (tmp_path / "sample.png").write_bytes(encode_png(np.zeros((8, 8, 3), dtype=np.uint8)))
    first = {"step": 0, "pictures": {"samples/0-7": str(tmp_path / "sample.png")}}
    lines = [first, *({"step": step, "numbers": {"curve/loss": 1 - step / 20}} for step in (10, 20))]

    def follow(*more, ended="FINISHED", training="t"):
        text = "".join(json.dumps(line) + "\n" for line in [*lines, *more, {"step": 0, "ended": ended}])
        (tmp_path / "spool.jsonl").write_text(text)
        trainings.follow(tmp_path / "spool.jsonl", "one", training)

    return follow


def curve(client, run, name="curve/loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def pictures(client, run):
    names = [each.path.split("/")[-1].split("+") for each in client.list_artifacts(run.info.run_id, "images")]
    return sorted((parts[0], int(parts[2])) for parts in names if not parts[-1].endswith("compressed.webp"))


def test_a_training_is_a_run_while_it_runs_and_its_result_completes_that_run(mlflow_client, logged, spool):
    spool()
    (live,) = runs(mlflow_client)
    assert live.info.status == "FINISHED"
    assert live.data.tags[tracking.TRAINING] == "t"
    assert tracking.RESULT not in live.data.tags
    assert curve(mlflow_client, live) == [(10, 0.5), (20, 0.0)]
    assert all(point.timestamp > 0 for point in mlflow_client.get_metric_history(live.info.run_id, "curve/loss"))
    assert pictures(mlflow_client, live) == [("samples~0-7", 0)]
    files = {"curve/loss": [(10, 0.5), (20, 0.0), (30, 0.25)]}
    assert tracking.log_result(LOCK, "one", replace(logged, curves=files))
    (run,) = runs(mlflow_client)
    assert run.info.run_id == live.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags[tracking.RESULT] == LOCK.result
    assert curve(mlflow_client, run) == [(10, 0.5), (20, 0.0), (30, 0.25)]
    assert pictures(mlflow_client, run) == [("grid", 0), ("samples~0-7", 0), ("samples~0-7", 10)]
    assert run.data.params == dict(LOCK.params)


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


def test_a_training_whose_result_stands_is_not_shown_again(mlflow_client, logged, spool):
    spool()
    tracking.log_result(LOCK, "one", logged)
    spool({"step": 30, "numbers": {"curve/loss": 0.1}})
    (run,) = runs(mlflow_client)
    assert 30 not in dict(curve(mlflow_client, run))


def test_a_second_result_of_one_training_is_a_run_of_its_own(mlflow_client, logged, spool):
    spool()
    tracking.log_result(LOCK, "one", logged)
    tracking.log_result(replace(LOCK, result="s"), "one", logged)
    assert len(runs(mlflow_client)) == 2
    assert len({run.data.tags[tracking.RESULT] for run in runs(mlflow_client)}) == 2


def test_another_training_is_another_run(mlflow_client, spool):
    spool()
    spool(training="u")
    assert {run.data.tags[tracking.TRAINING] for run in runs(mlflow_client)} == {"t", "u"}


def test_a_store_that_is_locked_for_a_while_loses_nothing(mlflow_client, spool, monkeypatch):
    carry, errors = trainings._carry, [OSError("away"), TrackingError("database is locked")]

    def sometimes(*how):
        if errors:
            raise errors.pop()
        carry(*how)

    monkeypatch.setattr(trainings, "_carry", sometimes)
    spool()
    (run,) = runs(mlflow_client)
    assert not errors
    assert curve(mlflow_client, run) == [(10, 0.5), (20, 0.0)]
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("reachable", [True, False])
def test_a_follower_ends_when_its_training_is_gone(mlflow_client, tmp_path, monkeypatch, reachable):
    monkeypatch.setattr(trainings.time, "sleep", lambda _: None)
    parents = iter([1, 1, 2, 2, 2])
    monkeypatch.setattr(trainings.os, "getppid", lambda: next(parents))
    if not reachable:

        def away(*_):
            raise OSError

        monkeypatch.setattr(trainings, "_carry", away)
    (tmp_path / "spool.jsonl").write_text('{"step": 1, "numbers": {"live/loss": 0.5}}\n{"step": 2, "num')  # half a line
    trainings.follow(tmp_path / "spool.jsonl", "one", "t")
    (run,) = runs(mlflow_client)
    assert run.info.status == ("KILLED" if reachable else "RUNNING")
    assert run.data.metrics == ({"live/loss": 0.5} if reachable else {})


def test_the_run_that_the_launcher_made_is_used_and_ended_by_the_launcher(mlflow_client, logged, spool, monkeypatch):
    given = mlflow_client.create_run(mlflow_client.create_experiment("one")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    spool()
    (run,) = runs(mlflow_client)
    assert run.info.run_id == given
    assert run.info.status == "RUNNING"
    assert tracking.log_result(LOCK, "one", logged)
    (run,) = runs(mlflow_client)
    assert run.data.tags[tracking.RESULT] == LOCK.result


def test_a_follower_is_a_process_that_says_nothing_on_the_terminal(monkeypatch, mlflow_home, tmp_path, capfd):
    (tmp_path / "spool.jsonl").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://")
    process = trainings.start(tmp_path / "spool.jsonl", "one", "t")
    process.join(60)
    assert process.exitcode == 1
    assert "nonsense" in (tmp_path / "spool.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_a_training_by_other_code_has_another_name():
    assert trainings.by_this_code("a") == trainings.by_this_code("a") != trainings.by_this_code("b")
    assert len(trainings.by_this_code("a")) == 32


def test_what_is_remembered_belongs_to_the_very_files(tmp_path):
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "adapter").write_text("1")
    trainings.remember(tmp_path / "trained", "t", {"seconds": 1.5})
    assert trainings.recall(tmp_path / "trained") == ("t", {"seconds": 1.5})
    (tmp_path / "trained" / "adapter").write_text("2")
    assert trainings.recall(tmp_path / "trained") == ("", {})


def test_a_training_whose_run_was_deleted_meanwhile_shows_in_a_new_one(mlflow_client, tmp_path, monkeypatch):
    def lines():
        yield [{"step": 1, "numbers": {"live/loss": 0.5}}]
        mlflow_client.delete_run(runs(mlflow_client)[0].info.run_id)
        yield [{"step": 2, "numbers": {"live/loss": 0.4}}]
        yield [{"step": 0, "ended": "FINISHED"}]

    monkeypatch.setattr(trainings, "_tail", lambda _: lines())
    trainings.follow(tmp_path / "spool.jsonl", "one", "t")
    (run,) = runs(mlflow_client)
    assert run.info.status == "FINISHED"
    assert curve(mlflow_client, run, "live/loss") == [(2, 0.4)]
