import hashlib

import pytest
import torch
from pydantic import ValidationError

from stages.base.origins import untrained
from stages.errors import ModelError

NAMES = ("flux", "sd15", "sd35", "sdxl")


def made(folder, *, family, seed=0):
    return untrained.build(untrained.Config(family=family, seed=seed))(folder, folder, train=False)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("family", NAMES)
def test_the_same_seed_gives_the_same_folder_and_another_one_others(tmp_path, family):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        torch.rand(3)  # whatever was drawn before
        made(tmp_path / name, family=family, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "same") != digests(tmp_path / "other")


@pytest.mark.parametrize("family", NAMES)
def test_it_is_a_diffusers_folder_of_safetensors(tmp_path, family):
    report = made(tmp_path / "base", family=family)
    names = set(digests(tmp_path / "base"))
    assert "model_index.json" in names
    assert {name.rpartition(".")[2] for name in names} <= {"json", "safetensors", "txt"}
    assert report["bytes"] < 3_000_000


def test_the_global_generator_is_left_alone(tmp_path):
    before = torch.get_rng_state()
    made(tmp_path / "base", family="sdxl")
    assert torch.equal(before, torch.get_rng_state())


def test_it_is_not_trained(tmp_path):
    with pytest.raises(ModelError, match="only the tiny family"):
        untrained.build(untrained.Config(family="flux", seed=0))(tmp_path, tmp_path, train=True)


def test_only_families_that_it_knows():
    with pytest.raises(ValidationError):
        untrained.Config(family="sd16", seed=0)
