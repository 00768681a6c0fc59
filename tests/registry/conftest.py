"""Versions of a model that is a stub: what is asked here are the versions, not what they draw."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stages import tables, tracking, versions
from stages.records import Reading, Score

CODE = """\
import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class Stub(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params: dict | None = None) -> list[str]:
        return [""]


mlflow.models.set_model(Stub())
"""
SCORE = Score(
    id="heldout_loss",
    metric="heldout_loss",
    arm="adapter",
    base=1.0,
    adapter=0.5,
    delta=-0.5,
    low=-0.6,
    high=-0.4,
    count=8,
    clusters=8,
    unit="group",
    definition="0" * 16,
    better="lower",
    verdict="better",
)


@pytest.fixture
def project(mlflow_client, mlflow_home):
    """A project with a store and params.yaml."""
    values = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_bytes())["register"]
    values |= {"name": "coins-lora", "experiment": "one"}
    values["gate"] |= {"kept": [], "ceilings": {}, "resamples": 100}
    (mlflow_home / "params.yaml").write_text(yaml.safe_dump({"register": values}))
    return mlflow_home


@pytest.fixture
def add(project, tmp_path):
    """Register a version whose pictures all have the loss ``value``, by its result and with its parameters."""

    def add(value, *, rank=4, definition="0" * 16, **tags):
        result = f"{value}-{rank}-{definition}"
        lock = tracking.Lock(
            result=result, params={"train.rank": f"{rank}"}, outs={"data/prepare": "ab12cd34ef"}, digest=""
        )
        logged = tracking.Logged(metrics={}, curves={}, files=[], pictures={}, samples={}, datasets=[], training="")
        tracking.log_result(lock, "one", logged)
        folder = tmp_path / result
        score = replace(SCORE, adapter=value, definition=definition)
        tables.write(folder, Score, [score])
        common = {"metric": "heldout_loss", "definition": definition}
        tables.write(folder, Reading, [Reading(id=f"p{n}", group=f"g{n}", value=value, **common) for n in range(8)])
        (folder / "code.py").write_text(CODE)
        wanted = versions.Registration(
            name="coins-lora",
            candidate=True,
            code=folder / "code.py",
            artifacts={"scores": tables.path(folder, Score), "readings": tables.path(folder, Reading)},
            config={},
            card="# A card\n",
            data=("data/prepare",),
            tags={"arm": "adapter", **tags},
            scores={"heldout_loss": f"{value} (-0.6 … -0.4)"},
        )
        number = versions.register(lock, "one", wanted)
        shutil.rmtree(folder)
        return number

    return add
