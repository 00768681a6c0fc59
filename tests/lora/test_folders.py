"""What is folded into a base draws what is loaded beside it, and can be taken out again."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from safetensors.torch import load_file, save_file

from stages.errors import ModelError
from stages.lora import arithmetic, files
from stages.lora.arithmetic import Size
from stages.lora.folders import Folder


def opened(folder, family):
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    if family == "sdxl":
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def weights(folder):
    return {file.relative_to(folder).as_posix(): load_file(file) for file in sorted(folder.rglob("*.safetensors"))}


@pytest.mark.parametrize("name", ["sd15 text", "sd15 dora", "sdxl text", "flux"])
def test_a_merged_folder_draws_what_the_loaded_adapter_draws(cases, drawn, family_bases, tmp_path, name):
    family, file, picture = cases(name)
    Folder(family_bases[family]).merged([(files.read(file), 1.0)], tmp_path / "out")
    np.testing.assert_allclose(drawn(opened(tmp_path / "out", family)), picture, atol=1e-4)


def test_two_merged_at_their_weights_draw_what_both_loaded_draw(cases, loaded, drawn, family_bases, tmp_path):
    (family, first, _), (_, second, _) = cases("sd15 conv"), cases("sd15 conv", seed=1)
    pairs = [(files.read(first), 0.5), (files.read(second), -0.4)]
    Folder(family_bases[family]).merged(pairs, tmp_path / "out")
    both = loaded(family, first, second, weights=[0.5, -0.4])
    np.testing.assert_allclose(drawn(opened(tmp_path / "out", family)), both, atol=1e-4)


def test_at_no_strength_the_base_stays_to_the_bit(cases, family_bases, tmp_path):
    family, file, _ = cases("sd15 text")
    Folder(family_bases[family]).merged([(files.read(file), 0.0)], tmp_path / "out")
    before, after = weights(family_bases[family]), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, tensors in before.items():
        assert all(torch.equal(tensors[key], after[name][key]) for key in tensors | after[name])


@pytest.mark.parametrize("name", ["sd15 text", "sd15 conv"])
def test_what_was_merged_is_extracted_again(cases, loaded, family_bases, tmp_path, name):
    family, file, picture = cases(name)
    base = Folder(family_bases[family])
    base.merged([(files.read(file), 1.0)], tmp_path / "tuned")
    lora, error = arithmetic.extracted(dict(base.differences(Folder(tmp_path / "tuned"))), Size(rank=4, energy=None))
    assert set(lora.layers) == set(files.read(file).layers)
    assert error < 1e-5
    files.write(tmp_path / "found.safetensors", lora)
    np.testing.assert_allclose(loaded(family, tmp_path / "found.safetensors"), picture, atol=1e-4)
    poor = arithmetic.extracted(dict(base.differences(Folder(tmp_path / "tuned"))), Size(rank=1, energy=None))
    assert poor[1] > 0.1


def test_a_folder_in_shards_and_half_precision_keeps_both(cases, family_bases, tmp_path):
    family, file, _ = cases("sd15 alpha")
    halves = tmp_path / "halves"
    opened(family_bases[family], family).to(torch.bfloat16).save_pretrained(halves)
    whole = halves / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    where = {name: f"{number % 2}.safetensors" for number, name in enumerate(names)}
    for shard in set(where.values()):
        save_file({name: tensors[name] for name in names if where[name] == shard}, halves / "unet" / shard)
    index = halves / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    lora = files.read(file)
    Folder(halves).merged([(lora, 1.0)], tmp_path / "out")
    after = load_file(tmp_path / "out" / "unet" / "0.safetensors") | load_file(
        tmp_path / "out" / "unet" / "1.safetensors"
    )
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    changed = {f"unet.{name.removesuffix('.weight')}" for name in names if not torch.equal(after[name], tensors[name])}
    assert changed == set(lora.layers)
    name = min(lora.layers)
    wanted = (tensors[f"{name[5:]}.weight"].double() + lora.layers[name].delta()).bfloat16()
    assert torch.equal(after[f"{name[5:]}.weight"], wanted)


def test_norms_and_biases_that_differ_are_named_and_not_extracted(family_bases, tmp_path):
    pipeline = opened(family_bases["tiny"], "tiny")
    pipeline.unet.conv_in.bias.data.add_(1.0)
    pipeline.text_encoder.get_input_embeddings().weight.data.add_(1.0)
    pipeline.unet.conv_in.weight.data.add_(1.0)
    pipeline.save_pretrained(tmp_path / "tuned")
    found = dict(Folder(family_bases["tiny"]).differences(Folder(tmp_path / "tuned")))
    assert torch.allclose(found.pop("unet.conv_in"), torch.ones(1, dtype=torch.float64))
    assert set(found.values()) == {None}
    assert sorted(name.split(".")[-2:] for name in found) == [["conv_in", "bias"], ["token_embedding", "weight"]]


def test_the_adapter_of_another_family_is_said_and_leaves_nothing(cases, family_bases, tmp_path):
    base = Folder(family_bases["tiny"])
    with pytest.raises(ModelError, match="has no transformer in safetensors; give a diffusers folder of the adapter's"):
        base.merged([(files.read(cases("flux")[1]), 1.0)], tmp_path / "out")
    with pytest.raises(ModelError, match=r"give the base that it was made for|has no layer"):
        base.merged([(files.read(cases("sdxl text")[1]), 1.0)], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(cases, family_bases, tmp_path):
    with pytest.raises(ModelError, match="is there already"):
        Folder(family_bases["tiny"]).merged([(files.read(cases("sd15 alpha")[1]), 1.0)], tmp_path)


def test_folders_of_two_families_have_no_difference_that_counts(family_bases):
    with pytest.raises(ModelError, match="give two of one family"):
        list(Folder(family_bases["tiny"]).differences(Folder(family_bases["sdxl"])))


def test_a_shard_that_was_cut_short_is_said(family_bases, tmp_path):
    file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    file.parent.mkdir()
    file.write_bytes((family_bases["tiny"] / "unet" / file.name).read_bytes()[:-10])
    with pytest.raises(ModelError, match="is no safetensors file, or was cut short"):
        Folder(tmp_path).weight("unet.conv_in")
