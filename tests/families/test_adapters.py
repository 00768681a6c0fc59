"""An adapter comes back from its file as strong as it was: the strength is alpha / rank and stands in the metadata."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stages import families, params, pipelines, plugins
from stages.adapters import add, layers, on, read, refuse_unfit, remove, weights
from stages.errors import ConfigError, ModelError
from stages.lora.files import sorted_header
from stages.pipelines import to_uint8

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "flux": ["tiny_flux", "flux"],
    "sd35": ["tiny_sd35", "sd35"],
    "sdxl": ["tiny_sdxl", "sdxl", "sd15"],
    "tiny": ["tiny"],
}
DENOISERS = {"flux": "transformer", "sd35": "transformer", "sdxl": "unet", "tiny": "unet"}
ENCODERS = {"flux": ["text_encoder"], "sd35": ["text_encoder", "text_encoder_2"]}
ENCODERS |= {"sdxl": ["text_encoder", "text_encoder_2"], "tiny": ["text_encoder"]}
KINDS = ("dora", "loha", "lokr", "lora", "rslora")
FAMILIES = ("flux", "sd35", "sdxl", "tiny")
PROMPTS, SEEDS = ["a photo of coins", "a cat"], [1, 2]


def drawn(family):
    return family.generate(PROMPTS, SEEDS, steps=2, guidance=2.0, size=(16, 16)).astype(int)


@pytest.fixture
def tuned(tiny_adapter):
    """A family whose adapter is as if it had been trained."""

    def family(base, *, alpha=4.0, name="tiny", precision="fp32", **others):
        one = families.build(name, base, precision=precision)
        torch.manual_seed(0)
        targets = ("to_q", "to_v", "ff.net.2", "conv1") if name in ("tiny", "sdxl") else ("to_q", "to_v")
        one.add_adapter(tiny_adapter(alpha=alpha, **{"targets": targets} | others))
        for weight in weights(one.networks):
            weight.data.normal_(0, 0.3 if name == "tiny" else 2.0)
        return one

    return family


@pytest.mark.parametrize("alpha", [2.0, 4.0, 0.5])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_fresh_family_with_the_file_draws_what_the_tuned_one_draws(tmp_path, family_bases, tuned, name, alpha):
    family = tuned(family_bases[name], alpha=alpha, name=name)
    family.save_adapter(tmp_path / "adapter.safetensors")
    fresh = families.build(name, family_bases[name])
    before = drawn(fresh)
    fresh.load_adapter(tmp_path / "adapter.safetensors")
    assert np.array_equal(drawn(fresh), drawn(family))
    assert np.abs(drawn(fresh) - before).mean() > 0.5


def test_the_file_loads_through_diffusers_own_pipeline(tmp_path, tiny_base, tuned):
    from diffusers import StableDiffusionPipeline

    family = tuned(tiny_base, alpha=4.0)
    family.save_adapter(tmp_path / "adapter.safetensors")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_base, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(tmp_path, weight_name="adapter.safetensors")
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    how = {"num_inference_steps": 2, "guidance_scale": 2.0, "width": 16, "height": 16, "output_type": "np"}
    assert np.array_equal(to_uint8(pipeline(PROMPTS, generator=generators, **how).images), drawn(family))


def test_without_its_metadata_the_strength_would_be_lost(tmp_path, tiny_base, tuned):
    """So the two tests above see what they are there to see."""
    family = tuned(tiny_base, alpha=4.0)
    family.save_adapter(tmp_path / "adapter.safetensors")
    save_file(load_file(tmp_path / "adapter.safetensors"), tmp_path / "bare.safetensors")
    fresh = families.build("tiny", tiny_base)
    fresh.load_adapter(tmp_path / "bare.safetensors")
    assert np.abs(drawn(fresh) - drawn(family)).max() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_from_its_file_and_can_be_taken_off(tmp_path, tiny_base, tuned, kind):
    family = tuned(tiny_base, kind=kind)
    family.save_adapter(tmp_path / "adapter.safetensors")
    fresh = families.build("tiny", tiny_base)
    before = drawn(fresh)
    fresh.load_adapter(tmp_path / "adapter.safetensors")
    after = drawn(fresh)
    assert np.array_equal(after, drawn(family))
    assert np.abs(after - before).mean() > 0.5
    remove(fresh.networks)
    assert not on(fresh.denoiser)
    assert np.array_equal(drawn(fresh), before)
    fresh.load_adapter(tmp_path / "adapter.safetensors")  # the place is free again
    assert np.array_equal(drawn(fresh), after)


@pytest.mark.parametrize("name", FAMILIES)
def test_text_encoders_are_adapted_when_they_are_asked_for(tmp_path, family_bases, tuned, name):
    family = tuned(family_bases[name], name=name, targets=("to_q",), text_targets=("q_proj", "fc1"))
    assert list(family.networks) == [DENOISERS[name], *ENCODERS[name]]
    words = family.encode_prompts(PROMPTS)
    sum(value.square().mean() for value in words.values()).backward()
    learning = [weight.grad is not None for weight in weights({n: family.networks[n] for n in ENCODERS[name]})]
    assert any(learning)
    family.save_adapter(tmp_path / "adapter.safetensors")
    fresh = families.build(name, family_bases[name])
    assert not families.trains_words(fresh)
    assert not all(torch.equal(value, words[key]) for key, value in fresh.encode_prompts(PROMPTS).items())
    fresh.load_adapter(tmp_path / "adapter.safetensors")
    assert families.trains_words(fresh)
    again = fresh.encode_prompts(PROMPTS)
    assert all(torch.equal(value, words[key]) and not value.requires_grad for key, value in again.items())
    assert np.array_equal(drawn(fresh), drawn(family))


def test_t5_is_no_text_encoder_that_is_adapted(family_bases, tiny_adapter):
    family = families.build("sd35", family_bases["sd35"])
    with pytest.raises(
        ValueError, match="no layer of text_encoder ends as 'wi_0'; it has fc1, fc2, k_proj, out_proj, q_proj"
    ):
        family.add_adapter(tiny_adapter(targets=("to_q",), text_targets=("q_proj", "wi_0")))


@pytest.mark.parametrize("classic", [True, False])
def test_both_names_of_clips_layers_are_read(tmp_path, tiny_base, tuned, classic):
    family = tuned(tiny_base, targets=("to_q",), text_targets=("q_proj",))
    family.save_adapter(tmp_path / "adapter.safetensors")
    metadata = read(tmp_path / "adapter.safetensors").settings
    names = {f"{part}.{key}": value for part, values in metadata.items() for key, value in values.items()}
    tensors = {
        name.replace("text_encoder.text_model.", "text_encoder.").replace(
            "text_encoder.", "text_encoder.text_model." if classic else "text_encoder."
        ): value
        for name, value in load_file(tmp_path / "adapter.safetensors").items()
    }
    save_file(tensors, tmp_path / "renamed.safetensors", metadata={"lora_adapter_metadata": json.dumps(names)})
    fresh = families.build("tiny", tiny_base)
    fresh.load_adapter(tmp_path / "renamed.safetensors")
    assert np.array_equal(drawn(fresh), drawn(family))


@pytest.mark.parametrize(("name", "other"), [("tiny", "flux"), ("flux", "sd35"), ("sd35", "tiny"), ("sdxl", "tiny")])
def test_an_adapter_for_another_family_is_refused_and_both_are_named(tmp_path, family_bases, tuned, name, other):
    tuned(family_bases[other], name=other).save_adapter(tmp_path / "adapter.safetensors")
    family, needed = families.build(name, family_bases[name]), {"tiny": "sd15"}
    expected = (
        f"does not fit this {needed.get(name, name)}; it seems to be for {needed.get(other, other)} .+; take the base"
    )
    with pytest.raises(ModelError, match=expected):
        family.load_adapter(tmp_path / "adapter.safetensors")


def test_an_adapter_for_another_size_of_the_family_is_refused_with_the_layer(tmp_path, tiny_base, tiny_shape, tuned):
    from dataclasses import replace

    from stages.families.tiny import untrained

    untrained(replace(tiny_shape, denoiser_channels=(8, 24)), ("a",)).save_pretrained(tmp_path / "base")
    tuned(tmp_path / "base").save_adapter(tmp_path / "adapter.safetensors")
    expected = r"it is for a sd15 of other sizes \(unet\..+: \(2, 24\) there, \(2, 16\) here\)"
    with pytest.raises(ModelError, match=expected):
        families.build("tiny", tiny_base).load_adapter(tmp_path / "adapter.safetensors")


def test_what_is_no_safetensors_file_is_said(tmp_path, tiny_base):
    (tmp_path / "adapter.safetensors").write_bytes(b"PK not at all")
    with pytest.raises(ModelError, match="is no safetensors file"):
        families.build("tiny", tiny_base).load_adapter(tmp_path / "adapter.safetensors")


def test_an_adapter_of_another_tool_for_another_family_is_refused(tmp_path, family_bases):
    down = torch.randn(4, 3072)
    tensors = {
        "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": down,
        "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight": down.T.contiguous(),
    }
    save_file(tensors, tmp_path / "kohya.safetensors")
    with pytest.raises(ModelError, match="does not fit this sd15; it seems to be for flux"):
        families.build("tiny", family_bases["tiny"]).load_adapter(tmp_path / "kohya.safetensors")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_preset_of_a_family_hits_what_it_names(family_bases, name):
    denoiser = families.build(name, family_bases[name]).denoiser
    for option in OPTIONS[name]:
        presets = yaml.safe_load((ROOT / "conf" / "family" / f"{option}.yaml").read_text())["presets"]
        assert list(presets) == ["attention", "wide", "all"]
        assert set(presets["attention"]) < set(presets["wide"]) < set(presets["all"])
        hit = {target: layers(denoiser, target).values() for target in presets["all"]}
        kinds = {target: {type(layer).__name__ for layer in found} for target, found in hit.items()}
        assert all(found and found <= {"Linear", "Conv2d"} for found in kinds.values()), (option, kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_as_a_layer_of_the_blocks_and_lies_outside_stays_as_it_is(tmp_path, family_bases, tiny_adapter, kind):
    family = families.build("flux", family_bases["flux"])
    family.add_adapter(tiny_adapter(kind=kind, targets=("to_q", "proj_out")))
    adapted = {name for name, layer in family.denoiser.named_modules() if hasattr(layer, "base_layer")}
    assert {name.rpartition(".")[2] for name in adapted} == {"to_q", "proj_out"}
    assert "proj_out" not in adapted
    family.save_adapter(tmp_path / "adapter.safetensors")
    again = families.build("flux", family_bases["flux"])
    again.load_adapter(tmp_path / "adapter.safetensors")
    assert {name for name, layer in again.denoiser.named_modules() if hasattr(layer, "base_layer")} == adapted


def test_a_preset_is_chosen_by_its_name():
    values = yaml.safe_load(params.composed(["family=tiny_flux", "family.preset=wide"]))
    assert values["train"]["targets"] == values["family"]["presets"]["wide"]


@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_a_rank_above_a_layers_size_is_refused_with_the_layer(tiny_base, tiny_adapter, kind):
    family = families.build("tiny", tiny_base)
    expected = r"unet\..+to_k: is a layer of 16 x 16 weights, too small for rank 17; take a rank of 16 at most"
    with pytest.raises(ModelError, match=expected):
        family.add_adapter(tiny_adapter(kind=kind, rank=17, targets=("to_k",)))
    assert not on(family.denoiser)


def test_the_size_of_a_quantised_layer_is_not_that_of_its_packed_weights(tiny_adapter):
    layer = torch.nn.Linear(8, 16)
    layer.weight = torch.nn.Parameter(torch.zeros(64, 1))
    network = torch.nn.ModuleDict({"to_q": layer})
    with pytest.raises(ModelError, match="to_q: is a layer of 16 x 8 weights, too small for rank 9"):
        add("unet", network, tiny_adapter(rank=9, targets=("to_q",)), ("to_q",))


@pytest.mark.parametrize("kind", ["lokr", "loha"])
def test_kinds_that_need_whole_weights_are_refused_over_quantised_ones(tiny_adapter, kind):
    with pytest.raises(ConfigError, match=f"train.adapter: {kind} needs whole weights beneath"):
        refuse_unfit(tiny_adapter(kind=kind), quantised=True)
    refuse_unfit(tiny_adapter(kind=kind), quantised=False)
    refuse_unfit(tiny_adapter(kind="dora"), quantised=True)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_base_of_half_precision_draws_and_its_adapter_stays_whole(tmp_path, family_bases, tuned, name, precision):
    family = tuned(family_bases[name], name=name, precision=precision, targets=("to_q",), text_targets=("q_proj",))
    assert {weight.dtype for weight in weights(family.networks)} == {torch.float32}
    half = {torch.bfloat16, torch.float16} & {weight.dtype for weight in family.denoiser.parameters()}
    assert half == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    family.save_adapter(tmp_path / "adapter.safetensors")
    fresh = families.build(name, family_bases[name], precision=precision)
    fresh.load_adapter(tmp_path / "adapter.safetensors")
    pictures = drawn(fresh)
    assert np.array_equal(pictures, drawn(family))
    pixels = pictures.astype(np.uint8)
    latents = fresh.encode_pictures(pixels)
    assert latents.dtype == torch.float32
    assert fresh.decode_latents(latents).shape == pixels.shape
    assert fresh.reconstruct(pixels, PROMPTS, SEEDS, strength=0.6, steps=2).shape == pixels.shape


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_over_a_base_of_half_precision(tiny_base, tuned, kind):
    family = tuned(tiny_base, kind=kind, precision="bf16")
    conditions = family.encode_prompts(["a cat"])
    answer = family.predict(torch.randn(1, 4, 8, 8), torch.tensor([500]), conditions)
    assert answer.dtype == conditions["tokens"].dtype == torch.float32
    answer.square().mean().backward()
    assert all(
        weight.grad.dtype == torch.float32 and weight.grad.abs().max() > 0 for weight in weights(family.networks)
    )


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_a_quantised_base_is_refused_where_it_cannot_be_before_anything_is_loaded(tmp_path, precision):
    with pytest.raises(
        ConfigError, match=f"base_precision: {precision} needs a GPU and this is a cpu; take fp32 or bf16"
    ):
        families.build("flux", tmp_path / "nothing", precision=precision)


def test_a_quantised_base_needs_the_library_that_knows_it(monkeypatch):
    monkeypatch.setattr(pipelines, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="nf4 needs bitsandbytes"):
        pipelines.refuse_precision("nf4", "cuda")


def test_an_adapter_takes_the_place_of_the_one_before(tmp_path, tiny_base, tuned):
    both = {"one": tuned(tiny_base, kind="dora", text_targets=("q_proj",)), "two": tuned(tiny_base, alpha=2.0)}
    for name, family in both.items():
        family.save_adapter(tmp_path / f"{name}.safetensors")
    fresh = families.build("tiny", tiny_base)
    for name in ("one", "two", "one"):
        fresh.load_adapter(tmp_path / f"{name}.safetensors")
        assert np.array_equal(drawn(fresh), drawn(both[name]))
        assert families.trains_words(fresh) == (name == "one")


def test_every_kind_is_tested_here():
    assert tuple(plugins.names("stages.adapters")) == KINDS


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_adapter_is_saved_as_the_same_bytes(tmp_path, family_bases, tuned, name):
    family = tuned(family_bases[name], alpha=4.0, name=name)
    digests = set()
    for number in range(12):  # safetensors orders its metadata anew each time: one write would prove nothing
        file = tmp_path / f"{number}.safetensors"
        family.save_adapter(file)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_metadata_are_sorted_and_hold_rank_and_alpha(tmp_path, tiny_base, tuned):
    tuned(tiny_base, alpha=4.0).save_adapter(tmp_path / "adapter.safetensors")
    content = (tmp_path / "adapter.safetensors").read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert list(metadata) == sorted(metadata)
    settings = json.loads(metadata["lora_adapter_metadata"])
    assert (settings["unet.r"], settings["unet.lora_alpha"]) == (2, 4.0)
    assert list(settings) == sorted(settings)
    assert settings["unet.target_modules"] == sorted(settings["unet.target_modules"])


@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_adapter_learns(family_bases, tuned, name):
    family = tuned(family_bases[name], alpha=4.0, name=name)
    learning = [name for name, weight in family.denoiser.named_parameters() if weight.requires_grad]
    assert learning
    assert all("lora_" in name for name in learning)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fresh_adapter_changes_nothing(family_bases, tiny_adapter, name):
    family = families.build(name, family_bases[name])
    before = drawn(family)
    family.add_adapter(tiny_adapter(targets=("to_q",)))
    assert np.array_equal(drawn(family), before)


def test_an_adapter_that_is_not_there_is_an_error(tmp_path, tiny_base):
    with pytest.raises(ModelError, match="there is no adapter"):
        families.build("tiny", tiny_base).load_adapter(tmp_path / "adapter.safetensors")


def test_a_sorted_header_keeps_tensors_and_metadata(tmp_path):
    from safetensors.torch import save

    tensors = {"b": torch.arange(3.0), "é": torch.ones(2, 2)}
    metadata = {"z": "1", "a": "ü", "m": "3"}
    (tmp_path / "one.safetensors").write_bytes(sorted_header(save(tensors, metadata=metadata)))
    with safe_open(tmp_path / "one.safetensors", framework="pt") as file:
        assert file.metadata() == metadata
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tensors.items())


def test_floats_become_bytes_by_rounding_and_not_by_cutting():
    levels = np.arange(256) / 255
    assert to_uint8(levels).tolist() == list(range(256))
    assert to_uint8((levels + 0.4 / 255)[:-1]).tolist() == list(range(255))
    assert to_uint8((levels - 0.4 / 255)[1:]).tolist() == list(range(1, 256))
    assert to_uint8(np.array([-1.0, 2.0])).tolist() == [0, 255]
    assert to_uint8(np.zeros((1, 2, 2, 3), dtype=np.float32)).dtype == np.uint8
