"""The distance itself: tests/evaluate/test_lpips.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from stages import plugins
from stages.errors import ModelError
from stages.evaluate.lpips import Lpips
from stages.evaluate.scores import Question, Resampling

GREYS = {"base": 10, "adapter": 4}  # how far each arm's reconstructions are


def picture(grey, side=40):
    return np.full((side, side, 3), grey, np.uint8)


def evidence(count=4, side=40):
    def question(metric, arm, better, *, by, margin=None):
        return Question(metric=metric, arm=arm, better=better, margin=margin, definition=str(sorted(by.items())))

    samples = [SimpleNamespace(group=str(number)) for number in range(count)]
    return SimpleNamespace(
        base="base",
        arms=["base", "adapter"],
        adapters=["adapter"],
        how=Resampling(resamples=20, seed=0),
        pictures=SimpleNamespace(plain=lambda role, split: samples, real=lambda sample: picture(0, side)),
        question=question,
        round_trip=[picture(1, side)] * count,
        reconstructed=lambda strength, steps: {arm: [picture(grey, side)] * count for arm, grey in GREYS.items()},
    )


@pytest.fixture
def metric():
    def built(network="alex"):
        weights = {name: {"file": "nowhere.pth", "sha256": name[0] * 64, "url": "https://x.test"} for name in ("alex",)}
        weights |= {"vgg": {"file": "nowhere.pth", "sha256": "b" * 64, "url": "https://x.test"}}
        how = {"name": "lpips", "network": network, "weights": weights, "strength": 0.5, "steps": 2}
        return plugins.build("stages.evaluate.metrics", how)

    return built


@pytest.fixture
def greys(monkeypatch):
    """The distance is that of the greys."""

    def of(self, reals, others):
        return np.array([abs(float(one.mean() - two.mean())) for one, two in zip(reals, others, strict=True)])

    monkeypatch.setattr(Lpips, "of", of)


def test_less_is_better_and_the_autoencoder_alone_stands_beside_it(metric, greys):
    rows = {score.id: score for score in metric()(evidence())}
    assert set(rows) == {"lpips_image_to_image", "lpips_round_trip"}
    drawn, trip = rows["lpips_image_to_image"], rows["lpips_round_trip"]
    assert (drawn.base, drawn.adapter, drawn.verdict) == (10, 4, "better")
    assert (trip.base, trip.adapter, trip.unit) == (1, None, "group")


def test_another_network_is_another_definition(metric, greys):
    one, other = ({score.id: score.definition for score in metric(name)(evidence())} for name in ("alex", "vgg"))
    assert all(one[id] != other[id] for id in one)
    assert "a" * 64 in one["lpips_round_trip"]


@pytest.mark.parametrize("those", [evidence(count=0), evidence(side=30)], ids=["none", "too small"])
def test_where_nothing_can_be_measured_there_is_no_score(metric, greys, those):
    assert list(metric()(those)) == []


def test_weights_that_are_not_there_are_said(metric):
    with pytest.raises(ModelError, match=r"nowhere\.pth: there is no such file; have it from https://x\.test"):
        list(metric()(evidence()))
