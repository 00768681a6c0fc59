import math

import numpy as np
import pytest
import torch

from stages.base import training
from stages.families.tiny import untrained


@pytest.fixture
def pipeline(tiny_shape):
    torch.manual_seed(0)
    return untrained(tiny_shape, ("a", "photo", "wall"))


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), "a photo" if n % 2 else "a wall") for n in range(8)]


@pytest.fixture
def config(origin):
    return origin().training


def weights(model):
    return [weight.detach().clone() for weight in model.parameters()]


def test_both_parts_and_the_words_learn(pipeline, labelled, config):
    parts = (pipeline.vae, pipeline.unet, pipeline.text_encoder)
    before = [weights(part) for part in parts]
    report = training.fit(pipeline, labelled, config)
    for part, old in zip(parts, before, strict=True):
        changed = [not torch.equal(one, other) for one, other in zip(weights(part), old, strict=True)]
        assert sum(changed) > len(changed) / 2
    assert all(math.isfinite(number) and number > 0 for number in report.values())
    assert set(report) == {"autoencoder_loss", "denoiser_loss"}


def test_the_scale_gives_latents_a_deviation_of_one(pipeline, labelled, config):
    training.fit(pipeline, labelled, config)
    pixels = torch.from_numpy(np.stack([picture for picture, _ in labelled[::4]]))
    assert training._latents(pipeline.vae, pixels).std().item() == pytest.approx(1.0, rel=1e-4)


def test_more_steps_lower_the_loss(pipeline, labelled, config):
    from dataclasses import replace

    first = training.fit(pipeline, labelled, replace(config, autoencoder_steps=1))["autoencoder_loss"]
    pipeline.vae.train().requires_grad_(True)
    assert training.fit(pipeline, labelled, replace(config, autoencoder_steps=30))["autoencoder_loss"] < first


def test_the_rate_warms_up_and_falls_to_a_fiftieth():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 1.0)

    def rate(done, warm):
        training._set_rate(optimizer, 2.0, done, warm=warm)
        return optimizer.param_groups[0]["lr"]

    assert rate(0.0, 0.25) == pytest.approx(0.5)
    assert rate(0.0, 3.0) == pytest.approx(2.0)
    assert rate(0.5, 3.0) == pytest.approx(2.0 * 0.51)
    assert rate(1.0, 3.0) == pytest.approx(2.0 / 50)


def test_the_average_moves_by_what_the_decay_leaves():
    average, weight = [torch.zeros(2)], [torch.ones(2)]
    training._average(average, weight, 0.75)
    assert average[0].tolist() == [0.25, 0.25]


def test_pixels_are_signed():
    pixels = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)
    signed = training._signed(pixels)
    assert signed.shape == (1, 3, 1, 1)
    assert signed.flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])


def test_other_colours_keep_shape_and_range_and_leave_grey_grey():
    torch.manual_seed(0)
    pictures = torch.rand(200, 3, 4, 4) * 2 - 1
    recoloured = training._recoloured(pictures)
    assert recoloured.shape == pictures.shape
    assert recoloured.abs().max() <= 1
    greyed = (recoloured.std(1).amax((1, 2)) < 1e-6).float().mean().item()
    assert greyed == pytest.approx(0.1 / 2.2, abs=0.03)  # the share of greying is cut at 1
    grey = torch.rand(8, 1, 4, 4).expand(-1, 3, -1, -1)
    assert training._recoloured(grey).std(1).max() < 1e-6


def test_recolouring_changes_what_the_autoencoder_learns(tiny_shape, labelled, config):
    from dataclasses import replace

    learned = []
    for recolour in (True, False):
        torch.manual_seed(0)
        pipeline = untrained(tiny_shape, ("a",))
        training.fit(pipeline, labelled, replace(config, recolour=recolour))
        learned.append(torch.cat([weight.flatten() for weight in pipeline.vae.parameters()]))
    assert not torch.equal(*learned)
