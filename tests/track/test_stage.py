import json

import numpy as np
import pytest

from stages import tables, tracking, trainings
from stages.errors import TableError
from stages.images import encode_png
from stages.records import Point, Receipt
from stages.track.stage import DATASETS, Config, run

CONFIG = Config(experiment="one", price_per_hour=0.0, currency="EUR")


@pytest.fixture
def folders(tmp_path):
    """What track reads: a lock, reports, curves, and the page with its grid."""
    outs = "".join(f"    - {{path: {path}, md5: {number}a.dir}}\n" for number, path in enumerate(DATASETS))
    (tmp_path / "dvc.lock").write_text(
        f"stages:\n  prepare:\n    cmd: prepare\n    params: {{params.yaml: {{prepare: {{seed: 1}}}}}}\n    outs:\n{outs}"
    )
    (tmp_path / "reports").mkdir()
    for name, numbers in {"train": {"loss": 0.5}, "evaluate": {"fd/base": 3}, "track": {"metrics": 7}}.items():
        (tmp_path / "reports" / f"{name}.json").write_text(json.dumps(numbers))
    values = [(0, 0.0, None), (5, 0.7, 0.6), (9, 0.5, 0.4)]
    points = [
        Point(id=f"{step:08d}", step=step, loss=loss, rate=0.1, heldout_loss=heldout, prior_loss=None)
        for step, loss, heldout in values
    ]
    tables.write(tmp_path / "trained", Point, points)
    (tmp_path / "trained" / "samples").mkdir()
    for step in (0, 9):
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        (tmp_path / "trained" / "samples" / f"{step:08d}-0-7.png").write_bytes(encode_png(pixels))
    (tmp_path / "evaluated").mkdir()
    (tmp_path / "evaluated" / "report.html").write_text("<p>")
    judged = tmp_path / "plots" / "checkpoints"
    judged.mkdir(parents=True)
    (judged / "fd.csv").write_text("step,value,low,high,base\n0,3.0,3.0,3.0,3.0\n9,2.5,2.0,2.75,3.0\n")
    (tmp_path / "evaluated" / "grid.png").write_bytes(encode_png(np.zeros((8, 8, 3), dtype=np.uint8)))
    named = {name: tmp_path / name for name in ("reports", "plots", "trained", "evaluated")}
    return named | {"lock": tmp_path / "dvc.lock"}


def test_reports_and_curves_become_one_run(mlflow_client, folders, tmp_path):
    report = run(CONFIG, **folders, out=tmp_path / "out")
    assert report == {"metrics": 2, "params": 1}
    (found,) = mlflow_client.search_runs([mlflow_client.get_experiment_by_name("one").experiment_id])
    curves = {"checkpoint/fd", "curve/loss", "curve/rate", "curve/heldout_loss"}
    assert {"train/loss", "evaluate/fd/base"} | curves == set(found.data.metrics)
    judged = mlflow_client.get_metric_history(found.info.run_id, "checkpoint/fd")
    assert [(point.step, point.value) for point in judged] == [(0, 3.0), (9, 2.5)]
    history = mlflow_client.get_metric_history(found.info.run_id, "curve/heldout_loss")
    assert [(point.step, point.value) for point in history] == [(5, 0.6), (9, 0.4)]
    assert {each.dataset.name for each in found.inputs.dataset_inputs} == set(DATASETS)
    losses = mlflow_client.get_metric_history(found.info.run_id, "curve/loss")
    assert [point.step for point in losses] == [5, 9]  # before the first step there is none
    images = {each.path for each in mlflow_client.list_artifacts(found.info.run_id, "images")}
    assert sum(each.startswith("images/samples~0-7+step+9+") for each in images) == 2  # itself, and small for the page


def test_the_receipt_names_the_result_and_never_differs(mlflow_client, folders, tmp_path):
    for name in ("one", "other"):
        run(CONFIG, **folders, out=tmp_path / name)
    result = tracking.read_lock(folders["lock"]).result
    assert tables.read(tmp_path / "one", Receipt) == [Receipt(id=result, what="tracked")]
    assert (tmp_path / "one" / "receipt.jsonl").read_bytes() == (tmp_path / "other" / "receipt.jsonl").read_bytes()


def test_a_broken_lock_writes_nothing(folders, tmp_path):
    folders["lock"].write_text("")
    with pytest.raises(TableError, match=r"is no dvc\.lock"):
        run(CONFIG, **folders, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_training_took_and_cost_is_shown_and_stands_in_no_output(
    mlflow_client, folders, tmp_path, caplog, monkeypatch
):
    trainings.remember(folders["trained"], "a" * 32, {"seconds": 1800.0, "step_seconds": 0.5})
    config = Config(experiment="one", price_per_hour=2.5, currency="CHF")
    with caplog.at_level("INFO", logger="stages.track.stage"):
        report = run(config, **folders, out=tmp_path / "out")
    assert report == {"metrics": 2, "params": 1}
    assert "the training took 1800 s: 1.25 CHF at 2.5 CHF an hour" in caplog.text
    (found,) = mlflow_client.search_runs([mlflow_client.get_experiment_by_name("one").experiment_id])
    shown = {name: value for name, value in found.data.metrics.items() if name.startswith("machine/")}
    assert shown == {"machine/seconds": 1800.0, "machine/step_seconds": 0.5, "machine/cost_CHF": 1.25}
    for file in (tmp_path / "out").iterdir():
        assert "1800" not in file.read_text()


def test_without_a_price_there_are_no_costs(mlflow_client, folders, tmp_path):
    trainings.remember(folders["trained"], "a" * 32, {"seconds": 1800.0})
    run(CONFIG, **folders, out=tmp_path / "out")
    (found,) = mlflow_client.search_runs([mlflow_client.get_experiment_by_name("one").experiment_id])
    assert {name for name in found.data.metrics if name.startswith("machine/")} == {"machine/seconds"}
