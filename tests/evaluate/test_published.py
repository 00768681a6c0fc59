import hashlib
import os

import pytest
import torch
import yaml
from safetensors.torch import save_file

from stages import params
from stages.errors import ModelError
from stages.evaluate import published
from stages.evaluate.published import Published

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}


def given(file, sha256=None):
    digest = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
    return Published(file=str(file), sha256=digest, url="https://nowhere.test/x.pth")


def pickled(content, file):
    torch.save(content, file)
    return file


def assert_read(weights):
    found = published.read(weights)
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_pickle_of_tensors_and_safetensors_are_read_alike(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors")
    assert_read(given(tmp_path / "x.safetensors"))
    assert_read(given(pickled(TENSORS, tmp_path / "x.pth")))


def test_the_old_format_of_pickles_is_read_too(tmp_path):
    torch.save(TENSORS, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert_read(given(tmp_path / "x.pth"))


def test_a_file_in_the_users_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    digest = hashlib.sha256(pickled(TENSORS, tmp_path / "x.pth").read_bytes()).hexdigest()
    assert_read(Published(file="~/x.pth", sha256=digest, url="https://nowhere.test/x.pth"))


def test_a_missing_file_is_said_with_where_it_is_to_be_had_and_how(tmp_path):
    file = tmp_path / "x.pth"
    message = rf"x\.pth: there is no such file; have it from https://nowhere.test/x.pth.*-o {file} https://nowhere"
    with pytest.raises(ModelError, match=message):
        published.read(given(file, "0" * 64))


def test_a_file_with_another_digest_is_not_read(tmp_path, monkeypatch):
    file = pickled(TENSORS, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(ModelError, match=rf"x\.pth: its SHA-256 is [0-9a-f]{{64}} and should be {'0' * 64}; fetch"):
        published.read(given(file, "0" * 64))


class Runs:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Runs()}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"x\.pth: cannot be read as tensors alone"):
        published.read(given(tmp_path / "x.pth"))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": torch.ones(1), "epoch": 3}, torch.ones(2)])
def test_what_holds_more_than_tensors_by_name_is_refused(content, tmp_path):
    with pytest.raises(ModelError, match="holds more than tensors by name"):
        published.read(given(pickled(content, tmp_path / "x.pth")))


@pytest.mark.parametrize(
    ("name", "message"), [("x.pth", "cannot be read as tensors"), ("x.safetensors", "no safetens")]
)
def test_damage_is_said(name, message, tmp_path):
    (tmp_path / name).write_bytes(b"no such thing" * 20)
    with pytest.raises(ModelError, match=message):
        published.read(given(tmp_path / name))


def test_the_digests_in_conf_begin_as_their_authors_name_the_files():
    """torch.hub names a file by the first eight digits of its SHA-256."""
    values = yaml.safe_load(params.composed(["metric=[lpips]", "embedder=[inception]"]))["evaluate"]
    files = list(_files(values))
    assert len(files) == 3
    for each in files:
        assert each["file"].endswith(f"-{each['sha256'][:8]}.pth")
        assert each["url"].rsplit("/", 1)[1] == each["file"].rsplit("/", 1)[1]


def _files(values):
    for value in values.values() if isinstance(values, dict) else ():
        if isinstance(value, dict) and "sha256" in value:
            yield value
        else:
            yield from _files(value)
