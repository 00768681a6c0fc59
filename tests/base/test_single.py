"""Models that are one file, as ComfyUI and A1111 have them."""

import hashlib
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.base import single
from stages.base.stage import Config, run
from stages.errors import ModelError

spec = importlib.util.spec_from_file_location("originals", Path(__file__).with_name("originals.py"))
originals = importlib.util.module_from_spec(spec)
spec.loader.exec_module(originals)

PARTS = {
    "sd15": ("vae", "text_encoder", "tokenizer", "unet", "scheduler"),
    "sdxl": ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "scheduler"),
}
HELD = {"sd15": {"unet", "vae", "text_encoder"}, "sdxl": {"unet", "vae", "text_encoder", "text_encoder_2"}}


@pytest.fixture(scope="module")
def untrained_bases(tmp_path_factory):
    """A tiny folder of sd15 and sdxl, and the same as one file in half precision: family to (folder, file)."""
    from stages.base.origins import untrained

    sdxl = untrained.TINY["sdxl"]  # diffusers tells its text encoders apart by their widths
    sdxl |= {"text_encoder_2": sdxl["text_encoder_2"] | {"hidden_size": 48}}
    sdxl |= {"unet": sdxl["unet"] | {"cross_attention_dim": 32 + 48}}
    made = {}
    with torch.random.fork_rng():
        for family, sizes in (("sd15", untrained.TINY["sd15"]), ("sdxl", sdxl)):
            folder = tmp_path_factory.mktemp("untrained") / family
            pipeline = untrained.pipeline(family, sizes)
            pipeline.save_pretrained(folder)
            save_file(originals.single(pipeline.to(torch.float16)), folder.parent / "model.safetensors")
            made[family] = folder, folder.parent / "model.safetensors"
    return made


def fetched(out, family, **changes):
    origin = {"name": "hub", "family": family, "repo": "someone/model", "revision": "0" * 40, "folder": "", "file": ""}
    origin |= {"variant": "", "sha256": "", "parts": list(PARTS[family])} | {
        name: str(value) for name, value in changes.items()
    }
    return run(Config(train=False, zero_terminal_snr=False, origin=origin), shipped=out, out=out)


def weights(folder):
    return {path.parent.name: load_file(path) for path in folder.glob("*/*.safetensors")}


@pytest.mark.parametrize("family", PARTS)
def test_a_single_file_becomes_the_folder_that_it_was_made_of(tmp_path, untrained_bases, family):
    folder, file = untrained_bases[family]
    configuration = tmp_path / "configuration"
    shutil.copytree(folder, configuration, ignore=shutil.ignore_patterns("*.safetensors"))
    fetched(tmp_path / "out", family, file=file, folder=configuration)
    expected, found = weights(folder), weights(tmp_path / "out")
    assert set(found) == HELD[family]
    for part, tensors in found.items():
        assert set(tensors) == set(expected[part])
        assert all(torch.equal(value, expected[part][name].half()) for name, value in tensors.items())


def test_a_file_is_held_to_the_digest_that_sites_give_for_it(tmp_path, untrained_bases):
    folder, file = untrained_bases["sd15"]
    published = hashlib.sha256(file.read_bytes()).hexdigest()
    fetched(tmp_path / "out", "sd15", file=file, folder=folder, sha256=published)
    with pytest.raises(ModelError, match=f"has the SHA-256 {published}, not that of family.origin.sha256"):
        fetched(tmp_path / "other", "sd15", file=file, folder=folder, sha256="0" * 64)


def test_what_the_file_lacks_comes_from_the_folder(tmp_path, untrained_bases):
    folder, file = untrained_bases["sd15"]
    denoiser = {name: value + 1 for name, value in load_file(file).items() if name.startswith("model.")}
    save_file(denoiser, tmp_path / "denoiser.safetensors")
    fetched(tmp_path / "out", "sd15", file=tmp_path / "denoiser.safetensors", folder=folder)
    expected, found = weights(folder), weights(tmp_path / "out")
    assert torch.equal(found["vae"]["quant_conv.weight"], expected["vae"]["quant_conv.weight"])
    assert torch.equal(found["unet"]["conv_in.bias"], expected["unet"]["conv_in.bias"].half() + 1)


def test_a_file_of_another_family_is_refused_and_named(tmp_path, untrained_bases):
    folder, file = untrained_bases["sdxl"]
    with pytest.raises(ModelError, match="is no base of sd15; it looks like family=sdxl"):
        fetched(tmp_path / "out", "sd15", file=file, folder=folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lora_unet_mid_block.lora_up.weight", "is a LoRA, not a base model"),
        ("double_blocks.0.img_attn.qkv.weight", "it looks like family=flux"),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "it looks like family=sd35"),
        ("first_stage_model.decoder.conv_in.weight", "holds no denoiser of sd15"),
    ],
)
def test_a_file_that_is_no_base_of_the_family_is_refused(name, message):
    with pytest.raises(ModelError, match=message):
        single.held({name: {"dtype": "F16"}}, "sd15", where="a file")


def test_a_file_that_does_not_fit_its_configuration_is_refused(tmp_path, untrained_bases):
    folder, file = untrained_bases["sd15"]
    tensors = load_file(file)
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(7, 4, 3, 3)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="does not fit the configuration"):
        fetched(tmp_path / "out", "sd15", file=tmp_path / "other.safetensors", folder=folder)


def test_a_precision_that_is_no_base_is_refused(tmp_path, untrained_bases):
    folder, file = untrained_bases["sd15"]
    tensors = {name: value.to(torch.float8_e4m3fn) for name, value in load_file(file).items()}
    save_file(tensors, tmp_path / "small.safetensors")
    with pytest.raises(ModelError, match="holds weights as F8_E4M3; give the file in one of F32, F16, BF16"):
        fetched(tmp_path / "out", "sd15", file=tmp_path / "small.safetensors", folder=folder)


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.pt"])
def test_a_pickle_is_refused_unread(tmp_path, untrained_bases, name):
    (tmp_path / name).write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match="is a pickle, which can run code"):
        fetched(tmp_path / "out", "sd15", file=tmp_path / name, folder=untrained_bases["sd15"][0])
