"""What the page reads, of the tiny run."""

from dataclasses import replace

import pytest

from stages import shards, tables
from stages.evaluate.pictures import Pictures
from stages.evaluate.report.sources import Sources
from stages.records import Generation, Score


@pytest.fixture(scope="session")
def sources(tiny_upstream, tiny_prepared, tiny_trained):
    named = ("crawled", "frames", "measured", "cleaned", "anonymised")
    return Sources(**{name: tiny_upstream / name for name in named}, prepared=tiny_prepared, trained=tiny_trained)


@pytest.fixture(scope="session")
def pictures(tiny_prepared, tiny_generated):
    return Pictures(tiny_prepared, tiny_generated)


@pytest.fixture
def with_checkpoints(tiny_prepared, tiny_generated):
    """Two more arms: what the base drew stands for the ninth step, what the adapter drew for the tenth."""
    more = Pictures(tiny_prepared, tiny_generated)
    arms = {"step-00000010": "adapter", "step-00000009": "base"}
    drawn = [replace(row, arm=arm) for arm, like in arms.items() for row in more.generations if row.arm == like]
    more.generations = [*more.generations, *drawn]
    return more


@pytest.fixture(scope="session")
def score():
    """A score of ``metric`` by ``arm``; give others to change it."""

    def build(metric="heldout_loss", arm="adapter", **others):
        id = metric if arm in {"base", "adapter"} else f"{metric}@{arm}"
        values = {"id": id, "metric": metric, "arm": arm, "base": 0.123456, "adapter": 0.1, "delta": -0.023456}
        values |= {"low": -0.03, "high": -0.01, "count": 3, "clusters": 3, "unit": "group", "definition": "0" * 16}
        return Score(**(values | {"better": "lower", "verdict": "better"} | others))

    return build


@pytest.fixture
def copied(tiny_prepared, tiny_generated, tmp_path):
    """The tiny run with one picture of the adapter replaced by a training picture: both, and the sample."""
    before = Pictures(tiny_prepared, tiny_generated)
    training = before.training("subject")[1]
    copy = before.by_arm("adapter", "subject")[2]
    png = {row.id: shards.read(tiny_generated, row.place) for row in before.generations}
    png[copy.id] = shards.read(tiny_prepared, training.place)
    places = shards.write(tmp_path / "generated", png, digits=1)
    after = Pictures(tiny_prepared, tiny_generated)
    tables.write(tmp_path / "generated", Generation, [replace(row, place=places[row.id]) for row in after.generations])
    return Pictures(tiny_prepared, tmp_path / "generated"), copy, training
