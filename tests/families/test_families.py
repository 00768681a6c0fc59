"""What every family must do. A new family is one more name in ``FAMILIES``, with a folder that it can load."""

import json
import shutil

import numpy as np
import pytest
import torch

from stages import denoising, families, plugins
from stages.errors import ConfigError, ModelError

FAMILIES = ("sd15", "tiny")
EARLY = "a photo of coins " + "and a wall " * 20
OTHER = "a photo of grass " + "and a wall " * 20


@pytest.fixture(params=FAMILIES)
def family(request, tiny_base):
    return families.build(request.param, tiny_base)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def copied(base, folder):
    shutil.copytree(base, folder)
    return folder


def predicting(base, folder, prediction):
    file = copied(base, folder) / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": prediction}))
    return families.build("tiny", folder)


def test_every_family_is_tested_here():
    assert tuple(plugins.names("stages.families")) == FAMILIES


def test_a_family_that_does_not_exist_is_an_error_with_those_that_do(tiny_base):
    with pytest.raises(ConfigError, match="no part 'sd99'; it has: sd15, tiny"):
        families.build("sd99", tiny_base)


def test_latents_are_floats_of_half_the_side(family, pixels):
    latents = family.encode_pictures(pixels)
    assert latents.shape == (2, 4, 8, 8)
    assert latents.dtype == torch.float32
    assert not latents.requires_grad


def test_the_same_picture_has_the_same_latents(family, pixels):
    torch.manual_seed(0)
    one = family.encode_pictures(pixels)
    torch.manual_seed(1)
    assert torch.equal(one, family.encode_pictures(pixels))


def test_latents_are_scaled_as_the_denoiser_wants_them(tmp_path, tiny_base, pixels):
    file = copied(tiny_base, tmp_path / "base") / "vae" / "config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"scaling_factor": 2 * values["scaling_factor"]}))
    one, other = families.build("tiny", tiny_base), families.build("tiny", tmp_path / "base")
    torch.testing.assert_close(2 * one.encode_pictures(pixels), other.encode_pictures(pixels))
    same = one.decode_latents(one.encode_pictures(pixels)), other.decode_latents(other.encode_pictures(pixels))
    np.testing.assert_allclose(same[0].astype(int), same[1], atol=1)


def test_decoded_latents_are_pictures(family, pixels):
    pictures = family.decode_latents(family.encode_pictures(pixels))
    assert pictures.shape == pixels.shape
    assert pictures.dtype == np.uint8


def test_prompts_are_padded_to_one_length(family):
    prompts = family.encode_prompts(["", "a photo of coins"])["tokens"]
    assert prompts.shape == (2, 8, 16)
    assert prompts.dtype == torch.float32
    assert not torch.equal(prompts[0], prompts[1])


def test_long_prompts_that_differ_early_differ(family):
    """Where the end token is cut off, all long prompts get one embedding: Lightning-AI/torchmetrics#2883."""
    one, other = family.encode_prompts([EARLY, OTHER])["tokens"]
    assert (one - other).abs().max() > 1e-3


def test_what_is_too_long_is_cut_and_its_end_token_kept(family):
    cut, short = family.encode_prompts([EARLY, "a photo of coins and a wall"])["tokens"]
    fits = family.encode_prompts(["a photo of coins"])["tokens"][0]
    assert cut.shape == short.shape
    assert not torch.equal(cut, fits)
    tokenizer = family._tokenizer
    tokens = tokenizer([EARLY], truncation=True, max_length=tokenizer.model_max_length).input_ids[0]
    assert len(tokens) == 8
    assert (tokens[0], tokens[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_corrupt_predict_and_weight_fit_each_other(family):
    latents, noise, timesteps = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8), torch.tensor([0, 500, 999])
    noisy, target = family.process.corrupt(latents, noise, timesteps)
    answer = family.predict(noisy, timesteps, family.encode_prompts(["a", "b", "c"]))
    assert noisy.shape == target.shape == answer.shape == latents.shape
    weights = family.process.weight(timesteps, gamma=5.0)
    assert weights.shape == (3,)
    assert (weights > 0).all()


def test_the_first_timestep_leaves_almost_the_picture_and_the_last_almost_the_noise(family):
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    noisy, _ = family.process.corrupt(latents, noise, torch.tensor([0, 999]))
    assert (noisy[0] - latents[0]).abs().max() < 0.15
    assert (noisy[1] - noise[1]).abs().max() < 0.35


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_target_and_weight_follow_the_schedulers_prediction(tmp_path, tiny_base, prediction):
    family = predicting(tiny_base, tmp_path / "base", prediction)
    latents, noise, timesteps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([20, 700])
    abar = family._scheduler.alphas_cumprod[timesteps]
    _, target = family.process.corrupt(latents, noise, timesteps)
    assert torch.equal(target, noise if prediction == "epsilon" else denoising.velocity(latents, noise, abar))
    expected = denoising.min_snr_weight(denoising.snr(abar), gamma=5.0, prediction=prediction)
    assert torch.equal(family.process.weight(timesteps, gamma=5.0), expected)


def test_a_picture_is_the_same_alone_and_among_others(tiny_base):
    family = families.build("tiny", tiny_base)
    prompts, seeds = ["a photo of coins", "grass", "", "a cat"], [1, 2, 3, 2**32 - 1]
    how = {"steps": 3, "guidance": 2.0, "size": (16, 16)}
    together = family.generate(prompts, seeds, **how)
    alone = np.concatenate(
        [family.generate([prompt], [seed], **how) for prompt, seed in zip(prompts, seeds, strict=True)]
    )
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert np.array_equal(together, family.generate(prompts, seeds, **how))


def test_prompt_seed_and_guidance_each_change_the_picture(tiny_base):
    family = families.build("tiny", tiny_base)

    def drawn(prompt="a photo of coins", seed=1, guidance=2.0):
        return family.generate([prompt], [seed], steps=2, guidance=guidance, size=(16, 16)).astype(int)

    for other in (drawn(prompt="grass"), drawn(seed=2), drawn(guidance=8.0)):
        assert np.abs(other - drawn()).max() > 0


def test_size_is_width_and_height(tiny_base):
    pictures = families.build("tiny", tiny_base).generate(["a"], [0], steps=1, guidance=1.0, size=(32, 16))
    assert pictures.shape == (1, 16, 32, 3)
    assert pictures.dtype == np.uint8


def test_a_reconstruction_is_repeatable_and_has_the_pictures_shape(family, pixels):
    def again(seeds):
        return family.reconstruct(pixels, ["a photo", "coins"], seeds, strength=0.5, steps=4)

    one = again([1, 2])
    assert one.shape == pixels.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, again([1, 2]))
    assert not np.array_equal(one, again([3, 2]))


@pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer", "unet", "scheduler"])
def test_a_missing_part_is_an_error_that_names_it(tmp_path, tiny_base, part):
    shutil.rmtree(copied(tiny_base, tmp_path / "base") / part)
    family = families.build("tiny", tmp_path / "base")
    with pytest.raises(ModelError, match=f"has no folder '{part}'; give a diffusers folder of this family"):
        family.generate(["a"], [0], steps=1, guidance=1.0, size=(16, 16))


def test_a_part_that_nobody_asks_for_is_not_loaded(tmp_path, tiny_base, pixels):
    copied(tiny_base, tmp_path / "base")
    for part in ("text_encoder", "tokenizer", "unet", "scheduler"):
        shutil.rmtree(tmp_path / "base" / part)
    assert families.build("tiny", tmp_path / "base").encode_pictures(pixels).shape == (2, 4, 8, 8)
