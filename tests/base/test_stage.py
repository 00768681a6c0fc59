from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from stages import families
from stages.base.origins import tiny
from stages.base.stage import Config, run
from stages.errors import ConfigError, ModelError


def stage_config(origin, *, train):
    return Config(train=train, zero_terminal_snr=False, origin={"name": "tiny", **asdict(origin)})


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def shipped(tmp_path):
    """A folder of models with one that is called ``fake``, and its digest."""
    folder = tmp_path / "shipped" / "fake"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_bytes(b"{}")
    (folder / "unet" / "weights.safetensors").write_bytes(b"12345")
    return folder.parent, tiny.digest_of(folder)


@pytest.mark.parametrize(
    ("specimens", "subjects"), [("photographs", ("astronaut", "brick")), ("digits", ("one", "seven"))]
)
def test_a_base_is_trained_and_its_family_can_draw_with_it(tmp_path, origin, specimens, subjects):
    config = stage_config(origin(specimens=specimens, subjects=subjects), train=True)
    report = run(config, shipped=tmp_path, out=tmp_path / "one")
    assert report["trained"] == 1
    assert report["bytes"] == sum(len(content) for content in contents(tmp_path / "one").values())
    assert {"autoencoder_loss", "denoiser_loss"} < set(report)
    family = families.build("tiny", tmp_path / "one")
    assert family.generate(["a photo"], [0], steps=1, guidance=2.0, size=(16, 16)).shape == (1, 16, 16, 3)


def test_the_same_training_gives_the_same_bytes(tmp_path, origin):
    config = stage_config(origin(), train=True)
    run(config, shipped=tmp_path, out=tmp_path / "one")
    torch.rand(3)
    run(config, shipped=tmp_path, out=tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_trained_base_is_saved_in_half_precision(tmp_path, origin):
    run(stage_config(origin(), train=True), shipped=tmp_path, out=tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.safetensors"))
    assert {file.parent.name for file in files} == {"vae", "unet", "text_encoder"}
    kinds = {tensor.dtype for file in files for tensor in load_file(file).values() if tensor.is_floating_point()}
    assert kinds == {torch.float16}


def test_each_word_of_a_caption_is_one_token(tmp_path, origin):
    run(stage_config(origin(), train=True), shipped=tmp_path, out=tmp_path / "out")
    tokens = families.build("tiny", tmp_path / "out")._parts["tokenizer"]("a photo of an astronaut").input_ids
    assert len(tokens) == 7


def test_the_shipped_base_is_copied_when_its_digest_is_right(tmp_path, shipped, origin):
    folder, digest = shipped
    report = run(stage_config(origin(digest=digest), train=False), shipped=folder, out=tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder / "fake")
    assert report == {"trained": 0, "bytes": 7}


def test_a_wrong_digest_is_an_error_that_names_both(tmp_path, shipped, origin):
    folder, digest = shipped
    with pytest.raises(ModelError, match=f"its digest is {digest}, not {'0' * 64}; restore it with `git checkout "):
        run(stage_config(origin(), train=False), shipped=folder, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_not_shipped_is_an_error_that_says_how_to_train_it(tmp_path, origin):
    with pytest.raises(ModelError, match=r"there is no such shipped model; set base\.train=true"):
        run(stage_config(origin(), train=False), shipped=tmp_path, out=tmp_path / "out")


def test_the_digest_sees_names_and_contents(shipped):
    folder, digest = shipped
    weights = folder / "fake" / "unet" / "weights.safetensors"
    weights.write_bytes(b"12346")
    assert tiny.digest_of(folder / "fake") != digest
    weights.write_bytes(b"12345")
    assert tiny.digest_of(folder / "fake") == digest
    weights.rename(weights.with_name("other.safetensors"))
    assert tiny.digest_of(folder / "fake") != digest


def test_an_unknown_subject_is_an_error(tmp_path, origin):
    with pytest.raises(ConfigError, match="no moon; there are: astronaut, "):
        run(stage_config(origin(subjects=("moon",)), train=True), shipped=tmp_path, out=tmp_path / "out")


def test_an_unknown_origin_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no part 'nowhere'"):
        run(
            Config(train=False, zero_terminal_snr=False, origin={"name": "nowhere"}),
            shipped=tmp_path,
            out=tmp_path / "out",
        )


def test_a_digest_of_another_form_is_refused(tmp_path, origin):
    values = {"name": "tiny", **asdict(origin()), "digest": "abc"}
    with pytest.raises(ConfigError, match="digest"):
        run(Config(train=False, zero_terminal_snr=False, origin=values), shipped=tmp_path, out=tmp_path / "out")
