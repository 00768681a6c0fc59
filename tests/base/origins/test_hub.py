"""A base of the hub, or a folder of this machine."""

import re
import shutil

import pytest

from stages import families
from stages.base.stage import Config, run
from stages.errors import ConfigError, ModelError

ORIGIN = {
    "name": "hub",
    "family": "sd15",
    "repo": "someone/model",
    "revision": "0" * 40,
    "folder": "",
    "file": "",
    "variant": "",
    "sha256": "",
    "parts": ["vae", "text_encoder", "tokenizer", "unet", "scheduler"],
}


def fetched(out, *, train=False, **changes):
    return run(Config(train=train, zero_terminal_snr=False, origin=ORIGIN | changes), shipped=out.parent, out=out)


def test_a_local_folder_becomes_the_base_of_sd15(tiny_base, tmp_path):
    report = fetched(tmp_path / "out", folder=str(tiny_base))
    assert report["trained"] == 0
    assert report["bytes"] == sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file())
    drawn = [
        families.build("sd15", folder).generate(["coins"], [3], steps=2, guidance=2.0, size=(16, 16)).tolist()
        for folder in (tiny_base, tmp_path / "out")
    ]
    assert drawn[0] == drawn[1]


def test_a_folder_that_changed_is_refused_where_its_digest_is_known(tiny_base, tmp_path, caplog):
    mine = shutil.copytree(tiny_base, tmp_path / "mine")
    caplog.set_level("INFO")
    fetched(tmp_path / "out", folder=str(mine))
    (known,) = re.findall(r"SHA-256 ([0-9a-f]{64}); in family\.origin\.sha256", caplog.text)
    fetched(tmp_path / "again", folder=str(mine), sha256=known)
    scheduler = mine / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text() + "\n")
    with pytest.raises(ModelError, match=r"mine: has the SHA-256 [0-9a-f]{64}, not that of family\.origin\.sha256"):
        fetched(tmp_path / "other", folder=str(mine), sha256=known)
    assert not (tmp_path / "other").exists()


def test_pickled_weights_and_other_precisions_stay_where_they_are(tiny_base, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_base, folder)
    for name in ("pytorch_model.bin", "model.fp16.safetensors", "model.non_ema.safetensors"):
        (folder / "unet" / name).write_bytes(b"x")
    fetched(tmp_path / "out", folder=str(folder))
    assert sorted(file.name for file in (tmp_path / "out" / "unet").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]


def test_a_part_without_safetensors_is_refused(tiny_base, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_base, folder)
    shutil.rmtree(folder / "vae")
    (folder / "vae").mkdir()
    (folder / "vae" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="has no part 'vae' as safetensors"):
        fetched(tmp_path / "out", folder=str(folder))


def test_a_folder_that_is_no_pipeline_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model_index\.json; give a diffusers folder"):
        fetched(tmp_path / "out", folder=str(tmp_path))


def test_without_a_network_the_message_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"someone/model: could not be fetched.*set family\.origin\.folder"):
        fetched(tmp_path / "out")


def test_it_is_not_trained_here(tmp_path):
    with pytest.raises(ModelError, match=r"base\.train: only the tiny family"):
        fetched(tmp_path / "out", train=True)


def test_a_branch_is_no_revision(tmp_path):
    with pytest.raises(ConfigError, match="revision"):
        fetched(tmp_path / "out", revision="main")
