"""An adapter comes back from its file as strong as it was: the strength is alpha / rank and stands in the metadata."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stages import families
from stages.adapters import sorted_header, weights
from stages.errors import ModelError
from stages.pipelines import to_uint8

FAMILIES = ("flux", "sd35", "sdxl", "tiny")
PROMPTS, SEEDS = ["a photo of coins", "a cat"], [1, 2]


def drawn(family):
    return family.generate(PROMPTS, SEEDS, steps=2, guidance=2.0, size=(16, 16)).astype(int)


@pytest.fixture
def tuned(tiny_adapter):
    """A family whose adapter is as if it had been trained."""

    def family(base, *, alpha, name="tiny"):
        one = families.build(name, base)
        torch.manual_seed(0)
        targets = ("to_q", "to_v", "ff.net.2", "conv1") if name in ("tiny", "sdxl") else ("to_q", "to_v")
        one.add_adapter(tiny_adapter(alpha=alpha, targets=targets))
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
