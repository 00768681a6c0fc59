import json
import shutil

import pytest

from stages.base import folders
from stages.base.folders import Wanted
from stages.errors import ModelError

NAMES = (
    "model_index.json",
    "README.md",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model-00001-of-00002.safetensors",
    "text_encoder/model.fp16-00001-of-00002.safetensors",
    "text_encoder/model.safetensors.index.fp16.json",
    "text_encoder/model.safetensors.index.json",
    "tokenizer/merges.txt",
    "safety_checker/model.safetensors",
)


def chosen(*, names=NAMES, parts=("unet", "vae", "text_encoder", "tokenizer"), variant="", held=()):
    return folders.chosen(names, Wanted(parts=parts, variant=variant, held=held), where="it")


def test_the_plain_weights_are_taken_unless_another_variant_is_asked_for():
    assert set(chosen()) == {
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json",
        "tokenizer/merges.txt",
    }


def test_a_variant_is_taken_where_there_is_one_and_loses_its_mark():
    found = chosen(variant="fp16")
    renamed = {name: target for name, target in found.items() if name != target}
    assert renamed == {
        "unet/diffusion_pytorch_model.fp16.safetensors": "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.fp16-00001-of-00002.safetensors": "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model.safetensors.index.fp16.json": "text_encoder/model.safetensors.index.json",
    }
    assert "vae/diffusion_pytorch_model.safetensors" in found
    assert "unet/diffusion_pytorch_model.safetensors" not in found


def test_of_a_part_that_comes_from_elsewhere_the_configuration_alone_is_taken():
    assert [name for name in chosen(held=("unet",)) if name.startswith("unet")] == ["unet/config.json"]


def test_a_part_that_is_missing_or_pickled_is_named():
    with pytest.raises(ModelError, match=r"^it: has no part 'text_encoder_2' as safetensors$"):
        chosen(parts=("text_encoder_2",))
    with pytest.raises(ModelError, match=r"has no weights of 'unet' as safetensors: unet/\S+\.bin is a pickle"):
        chosen(names=[name for name in NAMES if not name.startswith("unet") or not name.endswith(".safetensors")])


@pytest.mark.parametrize("family", ["sdxl", "sd35", "flux"])
def test_a_folder_of_another_family_says_whose_it_looks_like(family_bases, family):
    folders.check_family(family_bases[family], family)
    with pytest.raises(ModelError, match=f"no base of sd15; it looks like family={family}"):
        folders.check_family(family_bases[family], "sd15")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"_class_name": "WanPipeline"}', "is a WanPipeline, no base of sdxl; there are sd15, sdxl"),
        ("{}", "names no pipeline"),
        ("[", "names no pipeline"),
    ],
)
def test_a_folder_of_no_family_is_refused(tmp_path, index, message):
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(ModelError, match=message):
        folders.check_family(tmp_path, "sdxl")


def test_weights_that_are_cut_off_are_refused(tmp_path, tiny_base):
    folder = shutil.copytree(tiny_base, tmp_path / "model")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(
        ModelError, match=r"unet/diffusion_pytorch_model\.safetensors: has [\d,]+ bytes and should have"
    ):
        folders.copy(folder, tmp_path / "out", {file.relative_to(folder).as_posix(): "unet/model.safetensors"})


def test_a_shard_of_a_variant_is_renamed_in_its_index_and_one_that_is_missing_is_named(tmp_path, tiny_base):
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    shard = "diffusion_pytorch_model.fp16-00001-of-00001.safetensors"
    index = "diffusion_pytorch_model.safetensors.index.fp16.json"
    shutil.copy(tiny_base / "unet" / "diffusion_pytorch_model.safetensors", folder / "unet" / shard)
    (folder / "unet" / index).write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.bias": shard}}))
    (folder / "model_index.json").write_text("{}")
    files = folders.chosen(folders.names(folder), Wanted(parts=("unet",), variant="fp16"), where="it")
    folders.copy(folder, tmp_path / "out", files)
    listed = json.loads((tmp_path / "out/unet/diffusion_pytorch_model.safetensors.index.json").read_text())
    assert listed["weight_map"] == {"conv_in.bias": "diffusion_pytorch_model-00001-of-00001.safetensors"}
    assert (tmp_path / "out/unet" / listed["weight_map"]["conv_in.bias"]).is_file()
    del files[f"unet/{shard}"]
    with pytest.raises(ModelError, match=r"lacks unet/diffusion_pytorch_model-00001-of-00001\.safetensors, which "):
        folders.copy(folder, tmp_path / "other", files)
