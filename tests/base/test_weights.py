import pytest
import torch
from safetensors.torch import save_file

from stages.base import weights
from stages.errors import ModelError


@pytest.fixture
def file(tmp_path):
    save_file({"a": torch.zeros(3, 4), "b": torch.ones(2)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path / "model.safetensors"


def test_a_file_says_what_it_holds(file):
    found = weights.header(file)
    assert {name: (entry["dtype"], entry["shape"]) for name, entry in found.items()} == {
        "a": ("F32", [3, 4]),
        "b": ("F32", [2]),
    }


@pytest.mark.parametrize("kept", [0, 4, 8, 30])
def test_a_file_cut_within_its_header_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError, match="no safetensors file, or cut off within its header"):
        weights.header(file)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_is_shorter_or_longer_than_it_says_is_refused(file, change):
    content = file.read_bytes()
    file.write_bytes(content[:change] if change < 0 else content + b"x")
    with pytest.raises(ModelError, match=f"has {len(content) + change} bytes and should have {len(content)}; fetch it"):
        weights.header(file)


@pytest.mark.parametrize("content", [b"<html>no such page</html>" * 9, b"\x08" + bytes(7) + b"[1, 2, 3]"])
def test_what_is_no_safetensors_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(ModelError, match="no safetensors file"):
        weights.header(file)


def test_a_pointer_of_git_lfs_is_named(file):
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(ModelError, match="pointer of Git LFS"):
        weights.header(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors: there is no such file"):
        weights.header(tmp_path / "none.safetensors")
