import pytest
import torch

from stages import tensors
from stages.errors import TableError

SOME = {"a1": torch.arange(6.0).reshape(2, 3), "a2": torch.ones(2, dtype=torch.float16), "b1": torch.zeros(0)}


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_is_written_is_read(tmp_path):
    tensors.write(tmp_path, "latents", SOME, digits=1)
    found = tensors.read(tmp_path, "latents")
    assert set(found) == set(SOME)
    assert all(torch.equal(found[name], SOME[name]) and found[name].dtype == SOME[name].dtype for name in SOME)


@pytest.mark.parametrize(("digits", "names"), [(1, {"a", "b"}), (2, {"a1", "a2", "b1"})])
def test_the_head_of_a_name_chooses_its_file(tmp_path, digits, names):
    tensors.write(tmp_path, "latents", SOME, digits=digits)
    assert {file.name for file in tmp_path.iterdir()} == {f"latents-{name}.safetensors" for name in names}


def test_the_same_tensors_give_the_same_bytes_in_any_order(tmp_path):
    tensors.write(tmp_path / "one", "latents", SOME, digits=1)
    tensors.write(tmp_path / "other", "latents", dict(reversed(SOME.items())), digits=1)
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_new_tensor_changes_only_its_own_file(tmp_path):
    tensors.write(tmp_path, "latents", SOME, digits=1)
    before = files(tmp_path)
    tensors.write(tmp_path, "latents", SOME | {"b2": torch.ones(1)}, digits=1)
    after = files(tmp_path)
    assert before["latents-a.safetensors"] == after["latents-a.safetensors"]
    assert before["latents-b.safetensors"] != after["latents-b.safetensors"]


def test_views_and_what_is_in_training_can_be_kept(tmp_path):
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    tensors.write(tmp_path, "latents", {"a": weight.T}, digits=1)
    assert torch.equal(tensors.read(tmp_path, "latents")["a"], weight.detach().T)


def test_kinds_do_not_mix(tmp_path):
    tensors.write(tmp_path, "latents", {"a": torch.ones(1)}, digits=1)
    tensors.write(tmp_path, "prompts", {"b": torch.ones(1)}, digits=1)
    assert set(tensors.read(tmp_path, "prompts")) == {"b"}


def test_no_tensors_are_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TableError, match="there are no latents; `dvc repro` makes them"):
        tensors.read(tmp_path, "latents")
