import json
import shutil

import numpy as np
import pytest
import torch

from stages import families
from stages.base import schedule
from stages.errors import ConfigError


@pytest.fixture
def base(tmp_path, family_bases):
    """A copy of a family's base with other values in its schedule."""

    def copied(name, **values):
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(family_bases[name], folder)
        file = folder / "scheduler" / "scheduler_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))
        return folder

    return copied


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_training_and_drawing_meet_a_last_level_that_is_all_noise(base, name):
    folder = base(name, prediction_type="v_prediction")
    asked = {"steps": 2, "guidance": 2.0, "size": (16, 16)}
    before = families.build(name, folder)
    plain, drawn = before.process, before.generate(["a cat"], [1], **asked)
    schedule.end_in_noise(folder)
    after = families.build(name, folder)
    latents, noise = torch.randn(2, 1, 4, 8, 8)
    last, first = torch.tensor([999]), torch.tensor([0])
    noisy, target = after.process.corrupt(latents, noise, last)
    torch.testing.assert_close(noisy, noise, atol=1e-5, rtol=0)
    torch.testing.assert_close(target, -latents, atol=1e-5, rtol=0)
    assert (plain.corrupt(latents, noise, last)[0] - noise).abs().max() > 0.01
    at_first = [process.corrupt(latents, noise, first)[0] for process in (plain, after.process)]
    torch.testing.assert_close(*at_first)  # the first level stays as it was: equation 9
    assert not np.array_equal(after.generate(["a cat"], [1], **asked), drawn)
    assert after._parts["scheduler"].timesteps[0] == 999


def test_a_base_that_predicts_noise_or_is_a_flow_is_refused(base):
    with pytest.raises(ConfigError, match="predicts the noise, and it needs one that predicts v"):
        schedule.end_in_noise(base("sd15", prediction_type="epsilon"))
    with pytest.raises(ConfigError, match="is a flow, which ends in noise anyway"):
        schedule.end_in_noise(base("flux"))


def test_the_stage_writes_it_when_it_is_asked_for(tmp_path, family_bases, monkeypatch):
    from stages import plugins
    from stages.base.stage import Config, run

    def origin(shipped, out, *, train):
        shutil.copytree(family_bases["tiny"], out)
        return {"trained": 0}

    monkeypatch.setattr(plugins, "build", lambda package, choice: origin)
    for wanted in (False, True):
        out = tmp_path / str(wanted)
        assert run(Config(train=False, zero_terminal_snr=wanted, origin={}), shipped=tmp_path, out=out) == {
            "trained": 0
        }
        values = json.loads((out / "scheduler" / "scheduler_config.json").read_text())
        assert values.get("rescale_betas_zero_snr", False) == wanted
