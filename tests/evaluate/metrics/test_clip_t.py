"""Over real arms and pictures: tests/evaluate/test_stage.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from stages import plugins
from stages.errors import ConfigError
from stages.evaluate.embedders import Texts
from stages.evaluate.scores import Question, Resampling

PICTURES = {"base": np.eye(3)[[0, 1, 2]], "adapter": np.eye(3)[[0, 0, 0]] * 7}


class Reads:
    """Of each text the direction of its number, and a text longer than one letter is cut."""

    identity = "test"

    def __call__(self, pictures):
        raise AssertionError

    def read(self, texts):
        return Texts(np.eye(3)[[int(text[0]) for text in texts]] * 2, np.array([len(text) > 1 for text in texts]))


def evidence(embedders, roles=("subject", "prior")):
    rows = [SimpleNamespace(prompt=prompt, seed=0) for prompt in ("0", "1", "0 long")]

    def question(metric, arm, better, *, by, margin=None):
        return Question(metric=metric, arm=arm, better=better, margin=margin, definition=str(by))

    return SimpleNamespace(
        embedders=embedders,
        base="base",
        arms=["base", "adapter"],
        adapters=["adapter"],
        how=Resampling(resamples=20, seed=0),
        pictures=SimpleNamespace(by_arm=lambda arm, role: rows if role in roles else []),
        by=lambda name: {"embedder": embedders[name].identity},
        question=question,
        drawn=lambda name, arm, role: PICTURES[arm],
    )


@pytest.fixture
def metric():
    return plugins.build("stages.evaluate.metrics", {"name": "clip_t", "embedder": "clip", "margin": 0.1})


def test_each_picture_is_held_against_its_own_prompt(metric):
    rows = {score.id: score for score in metric(evidence({"clip": Reads()}))}
    assert set(rows) == {"clip_t", "clip_t_cut", "retention", "retention_cut"}
    assert (rows["clip_t"].base, rows["clip_t"].adapter) == pytest.approx((2 / 3, 2 / 3))
    assert rows["clip_t"].better == "higher"
    assert rows["retention"].verdict in {"kept", "lost", "no evidence"}


def test_a_picture_that_points_as_its_prompt_does_has_1(metric, monkeypatch):
    monkeypatch.setitem(PICTURES, "adapter", np.eye(3)[[0, 1, 0]] * 7)
    rows = {score.id: score for score in metric(evidence({"clip": Reads()}, roles=("subject",)))}
    assert set(rows) == {"clip_t", "clip_t_cut"}
    assert rows["clip_t"].adapter == pytest.approx(1)


def test_the_share_of_prompts_that_were_cut_is_said(metric):
    rows = {score.id: score for score in metric(evidence({"clip": Reads()}))}
    assert rows["clip_t_cut"].base == pytest.approx(1 / 3)
    assert rows["clip_t_cut"].count == 3


@pytest.mark.parametrize("embedders", [{}, {"clip": SimpleNamespace(identity="sees")}, {"other": Reads()}])
def test_without_an_embedder_that_reads_it_says_which_to_choose(metric, embedders):
    with pytest.raises(ConfigError, match=r"'clip' is no embedder that reads; choose one with it, as embedder=\["):
        next(metric(evidence(embedders)))
