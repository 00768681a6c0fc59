"""Zero terminal SNR: the schedule of the paper, seen by training and drawing alike, and refused where it means nothing."""

import json
import shutil

import numpy as np
import pytest
import torch

from stages import families
from stages.base.schedule import end_in_noise
from stages.errors import ConfigError

FILE = "scheduler/scheduler_config.json"


@pytest.fixture
def ended(tiny_base, tmp_path):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    end_in_noise(base)
    return base


def rescaled(abar):
    """Algorithm 1 of Lin et al. over the products themselves."""
    roots = np.sqrt(abar)
    return ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2


def abar(process, timesteps):
    """What of the picture is left, by noising a picture of ones with no noise."""
    ones = torch.ones(len(timesteps), 1, 1, 1)
    return process.corrupt(ones, torch.zeros_like(ones), timesteps)[0].flatten().square()


def test_the_schedule_is_the_papers(tiny_base, ended):
    every = torch.arange(1000)
    before, after = (abar(families.build("tiny", base).process, every).double().numpy() for base in (tiny_base, ended))
    assert before[-1] > 1e-3
    assert after[-1] == 0
    assert after == pytest.approx(rescaled(before), abs=1e-5)
    assert after[0] == pytest.approx(before[0])


def test_drawing_begins_where_training_ends(ended, monkeypatch):
    from diffusers import DDIMScheduler

    met, step = [], DDIMScheduler.step
    monkeypatch.setattr(
        DDIMScheduler,
        "step",
        lambda self, answer, t, *rest, **more: met.append(int(t)) or step(self, answer, t, *rest, **more),
    )
    pictures = families.build("tiny", ended).generate(["a cat"], [0], steps=4, guidance=2.0, size=(16, 16))
    assert met == [999, 749, 499, 249]
    assert pictures.std() > 0


@pytest.mark.parametrize("kind", ["uniform", "min_snr", "debiased"])
def test_every_weight_is_finite_at_the_last_timestep(ended, tiny_noise, kind):
    weights = families.build("tiny", ended).process.weight(
        torch.tensor([0, 500, 999]), tiny_noise(weighting=kind).weighting
    )
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize(
    ("known", "told"), [({"prediction_type": "epsilon"}, "epsilon"), ({}, "no diffusion's target")]
)
def test_a_base_that_does_not_predict_v_is_refused_and_untouched(tmp_path, known, told):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / FILE).write_text(json.dumps(known))
    with pytest.raises(ConfigError, match=f"this one predicts {told}; set it to false"):
        end_in_noise(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == known


def test_a_base_that_is_linked_to_is_not_changed(tiny_base, tmp_path):
    """The hub's files may lie in DVC's cache or the user's folder under the same inode."""
    (tmp_path / "base" / "scheduler").mkdir(parents=True)
    (tmp_path / "base" / FILE).hardlink_to(tiny_base / FILE)
    before = (tiny_base / FILE).read_bytes()
    end_in_noise(tmp_path / "base")
    assert (tiny_base / FILE).read_bytes() == before != (tmp_path / "base" / FILE).read_bytes()
