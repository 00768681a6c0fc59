import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stages import families, tables
from stages.export.stage import run
from stages.lora import about, files
from stages.records import Item, Recommendation, Ruling, Sample


def metadata(file):
    with safe_open(file, "pt") as opened:
        return opened.metadata()


@pytest.fixture
def folders(tmp_path, tiny_base, tiny_upstream, tiny_prepared, tiny_trained):
    tables.write(tmp_path / "evaluated", Recommendation, [Recommendation(id="adapter", reason="the best of 1")])
    return {
        "evaluated": tmp_path / "evaluated",
        "base": tiny_base,
        "crawled": tiny_upstream / "crawled",
        "frames": tiny_upstream / "frames",
        "cleaned": tiny_upstream / "cleaned",
        "prepared": tiny_prepared,
        "trained": tiny_trained,
        "out": tmp_path / "out",
    }


def test_both_files_draw_what_the_trained_adapter_draws(tiny_base, tiny_trained, tiny_exported):
    pictures = []
    for file in (tiny_trained / "adapter.safetensors", *sorted(tiny_exported.glob("*.safetensors"))):
        family = families.build("tiny", tiny_base)
        family.load_adapter(file)
        pictures.append(family.generate(["a photo of coins"], [1], steps=2, guidance=2.0, size=(16, 16)).astype(int))
    assert len(pictures) == 3
    assert np.abs(pictures[1] - pictures[0]).max() == 0
    assert np.abs(pictures[2] - pictures[0]).max() <= 1


def test_a_checkpoint_that_is_recommended_is_what_leaves(folders, tiny_trained, tiny_export, tmp_path):
    trained = shutil.copytree(tiny_trained, tmp_path / "trained")
    last = load_file(trained / "adapter.safetensors")
    checkpoint = trained / "checkpoints" / "00000006.safetensors"
    checkpoint.parent.mkdir(exist_ok=True)
    said = metadata(trained / "adapter.safetensors")
    save_file({name: tensor / 2 for name, tensor in last.items()}, checkpoint, said)
    tables.write(folders["evaluated"], Recommendation, [Recommendation(id="step-00000006", reason="the best of 2")])
    run(tiny_export(), **(folders | {"trained": trained}))
    left = load_file(folders["out"] / "adapter.safetensors")
    assert left.keys() == last.keys()
    assert all((left[name] == last[name] / 2).all() for name in last)
    assert metadata(folders["out"] / "adapter.safetensors")["ss_steps"] == "6"


def test_the_files_say_how_it_was_trained_and_on_whose_pictures(tiny_exported, tiny_prepared):
    said = metadata(tiny_exported / "adapter.safetensors")
    expected = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "darkroom-tiny/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "coins-lora",
        "modelspec.resolution": "16x16",
        "modelspec.prediction_type": "v",
        "modelspec.trigger_phrase": "coins",
        "modelspec.author": "pictures by A & B",
        "modelspec.license": "pictures: CC0-1.0, the strictest of 7; base: Apache-2.0",
        "ss_network_dim": "2",
        "ss_network_alpha": "4",
        "ss_learning_rate": "0.05",
        "ss_steps": "12",
        "ss_num_train_images": "4",
        "ss_num_reg_images": "3",
        "darkroom.base": "Tiny",
    }
    assert {key: said[key] for key in expected} == expected
    assert "modelspec.date" not in said
    samples = [sample for sample in tables.read(tiny_prepared, Sample) if sample.split == "train"]
    words = json.loads(said["ss_tag_frequency"])
    assert sum(sum(those.values()) for those in words.values()) == len(samples) == 7
    assert set(words) == {"subject", "prior"}


def test_only_the_pictures_that_it_learned_from_are_named(tiny_exported, tiny_prepared, tiny_upstream):
    samples = tables.read(tiny_prepared, Sample)
    learned = {sample.frame[:8] for sample in samples if sample.split == "train"}
    credits_ = [credit for _, credit in about.pictures(metadata(tiny_exported / "adapter.safetensors"))]
    assert {credit.rsplit("/", 1)[1].removesuffix(".png") for credit in credits_} == learned
    assert len(credits_) == 7 < len(tables.read(tiny_upstream / "crawled", Item))


def test_the_kohya_file_says_the_same_with_its_own_hash(tiny_exported):
    one, other = (metadata(tiny_exported / f"adapter{kind}.safetensors") for kind in ("", ".kohya"))
    ours = {files.SETTINGS, *files.HASHES}
    assert {key: one[key] for key in one.keys() - ours} == {key: other[key] for key in other.keys() - ours}
    assert one["sshs_model_hash"] != other["sshs_model_hash"]


def test_the_same_training_gives_the_same_bytes(tiny_export, tiny_exported, folders):
    report = run(tiny_export(), **folders)
    assert report == {
        "layers": len(files.read(tiny_exported / "adapter.safetensors").layers),
        "kohya": 1,
        "pictures": 7,
    }
    names = ["adapter.kohya.safetensors", "adapter.safetensors", "inspect.txt"]
    assert sorted(file.name for file in folders["out"].iterdir()) == names
    for name in names:
        assert (folders["out"] / name).read_bytes() == (tiny_exported / name).read_bytes()


@pytest.mark.parametrize(
    ("licences", "words"),
    [
        (["CC-BY-SA-4.0", "CC0-1.0"], "share adaptations under the same licence (CC-BY-SA-4.0)"),
        (["CC-BY-NC-4.0", "CC0-1.0"], "earn no money with it (CC-BY-NC-4.0)"),
        (["", "CC0-1.0"], "find out what the unknown ones ask for"),
    ],
)
def test_the_strictest_of_the_pictures_licences_is_said(tiny_export, folders, tmp_path, licences, words):
    items = tables.read(folders["crawled"], Item)
    changed = [replace(item, licence=licences[number % 2]) for number, item in enumerate(items)]
    tables.write(tmp_path / "crawled", Item, changed)
    run(tiny_export(), **(folders | {"crawled": tmp_path / "crawled"}))
    said = metadata(folders["out"] / "adapter.safetensors")["modelspec.license"]
    assert words in said
    assert said.startswith(f"pictures: {licences[0] or 'a licence that is not known'}, the strictest of 7; ")
    assert words in (folders["out"] / "inspect.txt").read_text()


def test_what_the_policy_bars_goes_first(tiny_export, tiny_ruling, folders, tmp_path):
    tables.write(tmp_path / "cleaned", Ruling, [replace(tiny_ruling, publish=False, commercial=True)])
    run(tiny_export(), **(folders | {"cleaned": tmp_path / "cleaned"}))
    said = metadata(folders["out"] / "adapter.safetensors")
    assert said["modelspec.license"].startswith("not for publication; pictures: CC0-1.0")
    assert said["darkroom.restrictions"] == "not for publication"
    assert said["darkroom.policy"] == tiny_ruling.policy


def test_what_kohyas_format_cannot_say_leaves_the_other_file(tiny_export, folders, caplog):
    with caplog.at_level(logging.WARNING):
        report = run(tiny_export(), **(folders | {"base": folders["out"].parent}))
    assert report["kohya"] == 1, "a LoRA does not ask for its base"
    shutil.copy(folders["trained"] / "point.jsonl", folders["out"].parent)
    files.write(
        folders["out"].parent / "adapter.safetensors", _outside(files.read(folders["trained"] / "adapter.safetensors"))
    )
    report = run(tiny_export(), **(folders | {"trained": folders["out"].parent, "out": folders["out"] / "other"}))
    assert report["kohya"] == 0
    assert "kohya's format has no name" in caplog.text
    assert load_file(folders["out"] / "other" / "adapter.safetensors")
    assert not (folders["out"] / "other" / "adapter.kohya.safetensors").exists()


def _outside(lora):
    return type(lora)({f"vae.{name}": layer for name, layer in lora.layers.items()})
