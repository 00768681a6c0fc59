"""What every family must do. A new family is one more name in ``FAMILIES``, with a folder that it can load."""

import json
import shutil

import numpy as np
import pytest
import torch

from stages import denoising, families, plugins
from stages.errors import ConfigError, ModelError
from stages.families import flux
from stages.records import Sample
from stages.shards import Place

FAMILIES = ("flux", "sd15", "sd35", "sdxl", "tiny")
DIFFUSIONS = ("sd15", "sdxl", "tiny")
CHANNELS = {"flux": 4, "sd15": 4, "sd35": 8, "sdxl": 4, "tiny": 4}  # of the latents of the bases that are tested here
PARTS = {
    "flux": ["vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "scheduler"],
    "sd15": ["vae", "text_encoder", "tokenizer", "unet", "scheduler"],
    "sd35": ["vae", "text_encoder_3", "tokenizer_3", "transformer", "scheduler"],
    "sdxl": ["vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "scheduler"],
}
EARLY = "a photo of coins " + "and a wall " * 20
OTHER = "a photo of grass " + "and a wall " * 20
MIN_SNR = denoising.Weighting(kind="min_snr", gamma=5.0)
PARTS_OF_THE_WAY = torch.tensor([0.0, 0.5, 0.999])


@pytest.fixture(params=FAMILIES)
def family(request, family_bases):
    return families.build(request.param, family_bases[request.param])


@pytest.fixture
def name(request):
    return request.node.callspec.params["family"]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def copied(base, folder):
    shutil.copytree(base, folder)
    return folder


def predicting(base, folder, prediction):
    file = copied(base, folder) / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": prediction}))
    return folder


def sample(**changes):
    values = {"id": "a-00", "frame": "a", "variant": 0, "text": "a photo", "role": "subject", "split": "train"}
    values |= {"group": "a", "width": 16, "height": 16, "place": Place(shard="", offset=0, size=0)}
    values |= {"source_width": 16, "source_height": 16, "crop_left": 0, "crop_top": 0, "digest": "", "weight": 1.0}
    return Sample(**(values | changes))


def conditions(family, prompts, **changes):
    """Those of ``prompts`` for pictures of one size."""
    picture = family.picture_conditions(sample(**changes))
    return family.encode_prompts(prompts) | {
        key: value.expand(len(prompts), *value.shape) for key, value in picture.items()
    }


def test_every_family_is_tested_here():
    assert tuple(plugins.names("stages.families")) == FAMILIES


def test_a_family_that_does_not_exist_is_an_error_with_those_that_do(tiny_base):
    with pytest.raises(ConfigError, match="no part 'sd99'; it has: flux, sd15, sd35, sdxl, tiny"):
        families.build("sd99", tiny_base)


def test_latents_are_floats_of_half_the_side(family, name, pixels):
    latents = family.encode_pictures(pixels)
    assert latents.shape == (2, CHANNELS[name], 8, 8)
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


def test_a_prompts_conditions_have_one_shape_whatever_its_length(family):
    short, long = (family.encode_prompts([prompt]) for prompt in ("", EARLY))
    assert "tokens" in short
    assert {key: value.shape for key, value in short.items()} == {key: value.shape for key, value in long.items()}
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in long.values())
    assert not torch.equal(short["tokens"], long["tokens"])


def test_a_prompt_has_the_same_conditions_alone_and_among_others(family):
    together, alone = family.encode_prompts(["a cat", "coins"]), family.encode_prompts(["coins"])
    for key, value in alone.items():
        torch.testing.assert_close(together[key][1], value[0], rtol=1e-4, atol=1e-5)


def test_long_prompts_that_differ_early_differ(family):
    """Where the end token is cut off, all long prompts get one embedding: Lightning-AI/torchmetrics#2883."""
    for value in family.encode_prompts([EARLY, OTHER]).values():
        assert (value[0] - value[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "places", "asked"),
    [
        ("sd15", {"tokens": 0}, {"do_classifier_free_guidance": False, "num_images_per_prompt": 1}),
        ("sdxl", {"tokens": 0, "pooled": 2}, {"do_classifier_free_guidance": False}),
        (
            "sd35",
            {"tokens": 0, "pooled": 2},
            {"do_classifier_free_guidance": False, "prompt_2": None, "prompt_3": None},
        ),
        ("flux", {"tokens": 0, "pooled": 1}, {"prompt_2": None}),
    ],
)
def test_prompts_are_encoded_as_the_pipeline_itself_does(name, places, asked, family_bases):
    family, prompts = families.build(name, family_bases[name]), ["a cat", EARLY]
    pipeline = family._assembled(family._architecture.pipelines[0])
    theirs, ours = (
        pipeline.encode_prompt(prompts, device="cpu", **asked, **family._told),
        family.encode_prompts(prompts),
    )
    assert {name: torch.equal(value, theirs[places[name]]) for name, value in ours.items()} == dict.fromkeys(
        places, True
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_cut_off_a_prompt_is_counted_for_each_tokenizer(name, family_bases):
    family = families.build(name, family_bases[name])
    lost = family.tokens_lost(["a cat", "", "cat " * 600])
    assert set(lost) == {each.name for each in family_bases[name].glob("tokenizer*")}
    for short, empty, long in lost.values():
        assert (short, empty) == (0, 0)
        assert long > 0
    more, most = (family.tokens_lost(["cat " * count]) for count in (601, 602))
    assert all(0 < most[each][0] - more[each][0] == more[each][0] - lost[each][2] for each in lost)


@pytest.mark.parametrize("family", ["sd15", "tiny"], indirect=True)
def test_what_is_too_long_is_cut_and_its_end_token_kept(family):
    cut, short = family.encode_prompts([EARLY, "a photo of coins and a wall"])["tokens"]
    assert cut.shape == short.shape == (8, 16)
    assert not torch.equal(cut, family.encode_prompts(["a photo of coins"])["tokens"][0])
    tokenizer = family._parts["tokenizer"]
    tokens = tokenizer([EARLY], truncation=True, max_length=tokenizer.model_max_length).input_ids[0]
    assert len(tokens) == 8
    assert (tokens[0], tokens[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_no_words_are_zeros_for_sdxl_as_in_its_guidance(family_bases):
    one = families.build("sdxl", family_bases["sdxl"]).encode_prompts(["", "a cat"])
    assert all(not value[0].any() and value[1].any() for value in one.values())


@pytest.mark.parametrize(("top", "told"), [(5, 5), (-5, 0)])
def test_sdxl_is_told_the_true_sizes_height_before_width(family_bases, top, told):
    cropped = sample(width=24, height=16, source_width=640, source_height=480, crop_left=3, crop_top=top)
    one = families.build("sdxl", family_bases["sdxl"])
    assert one.picture_conditions(cropped)["sizes"].tolist() == [480, 640, told, 3, 16, 24]


def test_corrupt_predict_and_weight_fit_each_other(family, name):
    latents, noise = torch.randn(2, 3, CHANNELS[name], 8, 8)
    levels = family.process.levels(PARTS_OF_THE_WAY, (8, 8))
    noisy, target = family.process.corrupt(latents, noise, levels)
    answer = family.predict(noisy, levels, conditions(family, ["a", "b", "c"]))
    assert noisy.shape == target.shape == answer.shape == latents.shape
    weights = family.process.weight(levels[1:], MIN_SNR)
    assert weights.shape == (2,)
    assert (weights > 0).all()
    assert family.process.weight(levels, denoising.Weighting(kind="uniform", gamma=5.0)).tolist() == [1.0, 1.0, 1.0]


def test_every_condition_changes_the_answer(family, name):
    latents, levels = torch.randn(1, CHANNELS[name], 8, 8), family.process.levels(torch.tensor([0.5]), (8, 8))
    given = conditions(family, ["a cat"])
    answer = family.predict(latents, levels, given)
    for key, value in given.items():
        other = family.predict(latents, levels, given | {key: value + 1})
        assert (other - answer).abs().max() > 1e-6, key


def test_the_beginning_of_the_way_is_almost_the_picture_and_its_end_almost_the_noise(family, name):
    latents, noise = torch.randn(2, 2, CHANNELS[name], 8, 8)
    noisy, _ = family.process.corrupt(latents, noise, family.process.levels(torch.tensor([0.0, 0.9999]), (8, 8)))
    assert (noisy[0] - latents[0]).abs().max() < 0.15
    assert (noisy[1] - noise[1]).abs().max() < 0.35


def test_more_of_the_way_is_more_noise(family, name):
    latents, noise = torch.zeros(9, CHANNELS[name], 8, 8), torch.ones(9, CHANNELS[name], 8, 8)
    noisy, _ = family.process.corrupt(latents, noise, family.process.levels(torch.linspace(0, 0.99, 9), (8, 8)))
    assert (noisy[:, 0, 0, 0].diff() > 0).all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", DIFFUSIONS)
def test_target_and_weight_follow_the_schedulers_prediction(tmp_path, family_bases, name, prediction):
    family = families.build(name, predicting(family_bases[name], tmp_path / "base", prediction))
    latents, noise, timesteps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([20, 700])
    abar = family._parts["scheduler"].alphas_cumprod[timesteps]
    _, target = family.process.corrupt(latents, noise, timesteps)
    assert torch.equal(target, noise if prediction == "epsilon" else denoising.velocity(latents, noise, abar))
    expected = denoising.min_snr_weight(denoising.snr(abar), gamma=5.0, prediction=prediction)
    assert torch.equal(family.process.weight(timesteps, MIN_SNR), expected)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (128, 128)])
def test_flux_is_trained_at_the_levels_that_its_sampler_meets(family_bases, size):
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    family = families.build("flux", family_bases["flux"])
    config = family._parts["scheduler"].config
    mu = calculate_shift(
        flux.tokens(size),
        config.base_image_seq_len,
        config.max_image_seq_len,
        config.base_shift,
        config.max_shift,
    )
    family._parts["scheduler"].set_timesteps(sigmas=[0.9, 0.5, 0.1], mu=mu)
    levels = family.process.levels(torch.tensor([0.9, 0.5, 0.1]), size)
    torch.testing.assert_close(levels, family._parts["scheduler"].sigmas[:3].cpu(), rtol=1e-5, atol=1e-6)


def test_packed_latents_are_those_of_diffusers():
    from diffusers import FluxPipeline

    latents = torch.randn(2, 4, 6, 8)
    packed = flux.packed(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 4, 6, 8))
    assert torch.equal(flux.unpacked(packed, (6, 8)), latents)
    positions = FluxPipeline._prepare_latent_image_ids(2, 3, 4, "cpu", torch.float32)
    assert torch.equal(flux.positions((6, 8)).float(), positions)


def test_a_picture_is_the_same_alone_and_among_others(family):
    prompts, seeds = ["a photo of coins", "grass", "", "a cat"], [1, 2, 3, 2**32 - 1]
    how = {"steps": 3, "guidance": 2.0, "size": (16, 16)}
    together = family.generate(prompts, seeds, **how)
    alone = np.concatenate(
        [family.generate([prompt], [seed], **how) for prompt, seed in zip(prompts, seeds, strict=True)]
    )
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert np.array_equal(together, family.generate(prompts, seeds, **how))


def test_prompt_seed_and_guidance_each_change_the_picture(family):
    def drawn(prompt="a photo of coins", seed=1, guidance=2.0):
        return family.generate([prompt], [seed], steps=2, guidance=guidance, size=(16, 16)).astype(int)

    for other in (drawn(prompt="grass"), drawn(seed=2), drawn(guidance=20.0)):
        assert np.abs(other - drawn()).max() > 0


def test_size_is_width_and_height(family):
    pictures = family.generate(["a"], [0], steps=1, guidance=1.0, size=(32, 16))
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


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in PARTS.items() for part in parts])
def test_a_missing_part_is_an_error_that_names_it(tmp_path, family_bases, name, part):
    shutil.rmtree(copied(family_bases[name], tmp_path / "base") / part)
    family = families.build(name, tmp_path / "base")
    with pytest.raises(ModelError, match=f"has no folder '{part}'; give a diffusers folder of this family, {name}"):
        family.generate(["a"], [0], steps=1, guidance=1.0, size=(16, 16))


def test_all_missing_parts_are_named_at_once(tmp_path, family_bases):
    base = copied(family_bases["sdxl"], tmp_path / "base")
    for part in ("vae", "text_encoder_2", "unet"):
        shutil.rmtree(base / part)
    with pytest.raises(ModelError, match="has no folder 'vae', 'text_encoder_2', 'unet'; give"):
        _ = families.build("sdxl", tmp_path / "base").denoiser


def cut(base):
    """Weights that end too early."""
    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_config(base):
    (base / "unet" / "config.json").unlink()


def with_fewer_weights(base):
    from safetensors.torch import load_file, save_file

    file = base / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if name != "conv_in.weight"}, file)


def with_other_sizes(base):
    file = base / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cross_attention_dim": 32}))


@pytest.mark.parametrize("spoil", [cut, without_config, with_fewer_weights, with_other_sizes])
def test_a_part_that_cannot_be_read_is_an_error_that_names_it(tmp_path, tiny_base, spoil):
    """Diffusers by itself makes up the weights that a file lacks."""
    spoil(copied(tiny_base, tmp_path / "base"))
    with pytest.raises(
        ModelError, match=r"base/unet: cannot be read as UNet2DConditionModel \(.+\); fetch the base anew"
    ):
        _ = families.build("tiny", tmp_path / "base").denoiser


def test_a_part_that_nobody_asks_for_is_not_loaded(tmp_path, tiny_base, pixels):
    copied(tiny_base, tmp_path / "base")
    for part in ("text_encoder", "tokenizer", "unet", "scheduler"):
        shutil.rmtree(tmp_path / "base" / part)
    assert families.build("tiny", tmp_path / "base").encode_pictures(pixels).shape == (2, 4, 8, 8)
