import json
from types import SimpleNamespace

import pytest

from stages.errors import DarkroomError
from stages.records import Point
from stages.train import watched
from stages.train.curves import Curves


@pytest.fixture
def trainer():
    curves = Curves(dict, every=1, steps=9)
    losses = enumerate([0.9, 0.5, None])
    curves.points = [
        Point(id=str(step), step=step, loss=1.0, rate=0.1, heldout_loss=loss, prior_loss=None) for step, loss in losses
    ]
    return SimpleNamespace(callbacks=[curves], global_step=2, is_global_zero=True)


def test_each_heldout_loss_is_said_once_and_the_base_s_is_not(trainer, tmp_path):
    callback = watched.Watched(tmp_path)
    callback.on_train_batch_end(trainer)
    callback.on_train_batch_end(trainer)
    lines = (tmp_path / "points.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "value": 0.5}]


def test_a_training_that_was_given_up_ends(trainer, tmp_path):
    (tmp_path / "stop").touch()
    with pytest.raises(DarkroomError, match="given up at step 2, as the search asked"):
        watched.Watched(tmp_path).on_train_batch_end(trainer)


def test_it_watches_only_where_somebody_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("DARKROOM_WATCH", raising=False)
    assert watched.folder() is None
    monkeypatch.setenv("DARKROOM_WATCH", str(tmp_path))
    assert watched.folder() == tmp_path
