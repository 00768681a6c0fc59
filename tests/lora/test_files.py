"""Each file is loaded by diffusers itself into a fresh pipeline, which must draw what the tuned one draws."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stages.errors import ModelError
from stages.lora import files

FAMILY = {"tiny": "sd15"}


def test_the_diffusers_file_draws_what_the_tuned_pipeline_draws(cases, loaded, any_case):
    family, file, picture = cases(any_case)
    assert np.array_equal(loaded(family, file), picture)


def test_a_file_that_was_read_and_written_again_draws_the_same(cases, loaded, tmp_path, any_case):
    family, file, picture = cases(any_case)
    files.write(tmp_path / "again.safetensors", files.read(file))
    np.testing.assert_allclose(loaded(family, tmp_path / "again.safetensors"), picture, atol=1e-6)


def test_the_kohya_file_draws_the_same_through_diffusers(cases, loaded, tmp_path, kohya_case):
    """Not those of SD 3.5, which diffusers cannot read, nor Flux's single blocks, read by it at one width alone."""
    family, file, picture = cases(kohya_case)
    files.write_kohya(tmp_path / "one.kohya.safetensors", files.read(file), FAMILY.get(family, family))
    np.testing.assert_allclose(loaded(family, tmp_path / "one.kohya.safetensors"), picture, atol=1e-6)


def test_the_kohya_file_draws_the_same_when_it_is_read_back(cases, loaded, tmp_path, sum_case):
    family, file, picture = cases(sum_case)
    files.write_kohya(tmp_path / "one.kohya.safetensors", files.read(file), FAMILY.get(family, family))
    files.write(tmp_path / "back.safetensors", files.read(tmp_path / "one.kohya.safetensors"))
    np.testing.assert_allclose(loaded(family, tmp_path / "back.safetensors"), picture, atol=1e-6)


def test_a_kohya_file_that_says_alpha_is_rank_draws_something_else(cases, loaded, tmp_path):
    """So the tests above see what they are there to see: it is what diffusers' own converter writes."""
    family, file, picture = cases("sd15 alpha")
    files.write_kohya(tmp_path / "one.safetensors", files.read(file), "sd15")
    tensors = load_file(tmp_path / "one.safetensors")
    wrong = {key: torch.tensor(4.0) if key.endswith(".alpha") else value for key, value in tensors.items()}
    save_file(wrong, tmp_path / "wrong.safetensors")
    assert np.abs(loaded(family, tmp_path / "wrong.safetensors") - picture).max() > 0.01


def test_text_encoders_have_the_names_that_other_programs_know(cases, tmp_path):
    _, file, _ = cases("sdxl text")
    assert any(key.startswith("text_encoder.text_model.encoder.layers.0.") for key in load_file(file))
    files.write_kohya(tmp_path / "k.safetensors", files.read(file), "sdxl")
    starts = {key.split("_encoder_layers_")[0] for key in load_file(tmp_path / "k.safetensors") if "_te" in key}
    assert starts == {"lora_te1_text_model", "lora_te2_text_model"}


@pytest.mark.parametrize("write", [files.write, lambda file, lora: files.write_kohya(file, lora, "sd15")])
def test_the_same_adapter_is_the_same_bytes_with_the_hash_of_its_tensors(cases, tmp_path, write):
    read = files.read(cases("sd15 alpha")[1])
    said = {"modelspec.hash_sha256": "", "sshs_model_hash": "", "z": "1", "a": "ü"}
    lora = type(read)(read.layers, said)
    for number in range(12):  # safetensors orders its metadata anew each time: one write would prove nothing
        write(tmp_path / f"{number}.safetensors", lora)
    contents = {(tmp_path / f"{number}.safetensors").read_bytes() for number in range(12)}
    assert len(contents) == 1
    content = contents.pop()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    digest = hashlib.sha256(content[8 + length :]).hexdigest()
    assert metadata["sshs_model_hash"] == digest
    assert metadata["modelspec.hash_sha256"] == f"0x{digest}"
    assert metadata["a"] == "ü"


def test_relabelling_keeps_tensors_and_strength(cases, tmp_path):
    _, file, _ = cases("sd15 rslora")
    files.relabel(file, tmp_path / "two.safetensors", {"modelspec.title": "coins"})
    one, two = load_file(file), load_file(tmp_path / "two.safetensors")
    assert all(torch.equal(one[key], two[key]) for key in one | two)
    with safe_open(file, "pt") as before, safe_open(tmp_path / "two.safetensors", "pt") as after:
        assert after.metadata() == before.metadata() | {"modelspec.title": "coins"}


def test_without_settings_the_strength_is_one_as_diffusers_has_it(cases, tmp_path):
    save_file(load_file(cases("sd15 alpha")[1]), tmp_path / "bare.safetensors")
    assert {layer.strength for layer in files.read(tmp_path / "bare.safetensors").layers.values()} == {1.0}


def broken(tmp_path, whole):
    """By what is wrong with it: a file, and what must be said of it."""
    picture = {"unet.conv_in.weight": torch.zeros(2, 2)}
    alone = {"unet.a.lora_A.weight": torch.zeros(2, 2)}
    other = {"unet.a.hada_w1_a": torch.zeros(2, 2)}
    contents = {
        "no LoRA": picture,
        "alone": alone,
        "half of a LoHa": other,
        "BOFT": {"unet.a.boft_R": torch.zeros(2, 2)},
        "kohya": {"lora_unet_a.oft": torch.zeros(2)},
    }
    for name, tensors in contents.items():
        save_file(tensors, tmp_path / name)
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "cut in the header").write_bytes(whole.read_bytes()[:100])
    (tmp_path / "text").write_text("<!DOCTYPE html>")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "huge").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no LoRA", "unet.conv_in.weight is no tensor of a LoRA"),
        ("alone", "has lora_A.weight; a LoRA has lora_A.weight and lora_B.weight"),
        ("half of a LoHa", "has hada_w1_a; a LoKr or LoHa has hada_w1 and hada_w2, or their parts"),
        ("BOFT", "unet.a.boft_R is no tensor of a LoRA"),
        ("kohya", "has oft; a LoRA has"),
        ("cut", "is no safetensors file, or was cut short"),
        ("cut in the header", "is no safetensors file, or was cut short"),
        ("text", "is no safetensors file, or was cut short"),
        ("empty", "is no safetensors file, or was cut short"),
        ("huge", "is no safetensors file, or was cut short"),
        ("nothing", "there is no such file"),
    ],
)
def test_what_is_no_lora_is_said(cases, tmp_path, name, message):
    folder = broken(tmp_path, cases("sd15 alpha")[1])
    with pytest.raises(ModelError, match=message):
        files.read(folder / name)
