"""Models that are chosen: loaded by the real code, remembered, and refused where they do not fit."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from stages import plugins, specimens, tensors
from stages.errors import ConfigError, ModelError
from stages.measure.models import Models

VIEW = specimens.photograph("chelsea")
OTHER = specimens.photograph("coffee")
EMBEDDINGS = {"clip": 12, "dinov2": 16}  # their widths


def models(embedding=None, aesthetic=None, nsfw=None, *, side=512):
    return Models.build(embedding, aesthetic, nsfw, threads=1, side=side)


@pytest.fixture
def head(tmp_path):
    """A file of layers that give the sum of the first two numbers, twice over, and one."""

    def written(width=12, *, names=("layers.2", "layers.10"), last=1):
        first = np.zeros((3, width), dtype=np.float32)
        first[0, 0] = first[1, 1] = 2.0
        second = np.array([[1, 1, 0]] * last, dtype=np.float32)
        values = {names[0]: (first, np.zeros(3, dtype=np.float32)), names[1]: (second, np.ones(last, dtype=np.float32))}
        file = tmp_path / "head.safetensors"
        save_file(
            {f"{n}.{k}": t for n, pair in values.items() for k, t in zip(("weight", "bias"), pair, strict=True)}, file
        )
        return {"name": "head", "file": str(file)}

    return written


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_an_embedding_is_a_vector_of_length_1_and_always_the_same(choice, name):
    embed = plugins.build("stages.measure.embeddings", choice(name))
    one, again, other = embed(VIEW), embed(VIEW.copy()), embed(OTHER)
    assert (one.dtype, one.shape) == (np.float32, (EMBEDDINGS[name],))
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(one, again)
    assert not np.allclose(one, other, atol=1e-3)


def test_these_tests_see_every_embedding():
    assert sorted(EMBEDDINGS) == plugins.names("stages.measure.embeddings")


def test_a_classifier_gives_the_probability_of_its_label(choice):
    yes, no = (plugins.build("stages.measure.nsfw", choice("labelled", label=each)) for each in ("nsfw", "normal"))
    assert 0 < yes(VIEW) < 1
    assert yes(VIEW) + no(VIEW) == pytest.approx(1, abs=1e-5)
    assert yes(VIEW) != yes(OTHER)


def test_a_label_that_the_classifier_does_not_have_names_those_it_has(choice):
    with pytest.raises(ModelError, match="has no label 'hot'; it has: normal, nsfw"):
        plugins.build("stages.measure.nsfw", choice("labelled", label="hot"))(VIEW)


def test_a_head_applies_its_layers_by_their_numbers(choice, head, tmp_path):
    said = models(choice("clip"), head())
    opinions = said.opinions("a", VIEW)
    first, second = vector(said, tmp_path / "out")[:2]
    assert opinions["aesthetic"] == pytest.approx(2 * (first + second) + 1, abs=1e-3)


def test_a_head_of_one_layer_without_a_bias_is_a_head(tmp_path):
    save_file({"weight": np.array([[1, 2]], dtype=np.float32)}, tmp_path / "one.safetensors")
    taste = plugins.build("stages.measure.aesthetics", {"name": "head", "file": str(tmp_path / "one.safetensors")})
    assert taste(np.array([3, 4], dtype=np.float32)) == 11.0


def test_a_head_of_another_width_than_the_embedding_is_refused(choice, head):
    with pytest.raises(ModelError, match="want 13 numbers, and the embedding has 12; choose the embedding"):
        models(choice("clip"), head(13)).opinions("a", VIEW)


def test_a_head_that_gives_two_numbers_is_refused(head):
    with pytest.raises(ModelError, match="gives no single number"):
        plugins.build("stages.measure.aesthetics", head(last=2))


@pytest.mark.parametrize("content", [None, b"\x80\x04pickle", b""], ids=["missing", "pickle", "empty"])
def test_a_head_that_is_no_safetensors_is_refused(tmp_path, content):
    file = tmp_path / "head.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match="safetensors"):
        plugins.build("stages.measure.aesthetics", {"name": "head", "file": str(file)})


def test_a_head_without_an_embedding_is_refused(head):
    with pytest.raises(ConfigError, match="works on an embedding; choose one, as embedding=clip"):
        models(None, head())


def vector(said, folder, id="a"):
    """What ``said`` writes for the frame."""
    said.write(folder)
    return tensors.read(folder, "embedding")[id].numpy()


def test_without_a_choice_there_is_nothing_to_say_and_nothing_to_write(tmp_path):
    said = models()
    assert not said.lack("a")
    assert said.opinions("a", None) == {}
    said.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_said_is_remembered_and_no_model_is_asked_again(choice, tmp_path):
    first = models(choice("clip"), None, choice("labelled", label="nsfw"))
    assert first.lack("a")
    said = first.opinions("a", VIEW)
    again = models(choice("clip"), None, choice("labelled", label="nsfw"))
    assert not again.lack("a")
    assert again.lack("b")
    assert again.opinions("a", None) == said
    assert "eye" not in vars(again.embed.sight)  # it was never loaded
    first.write(tmp_path / "first")
    again.write(tmp_path / "again")
    assert [file.read_bytes() for file in sorted((tmp_path / "first").iterdir())] == [
        file.read_bytes() for file in sorted((tmp_path / "again").iterdir())
    ]


def test_vectors_are_kept_as_they_are_seen_in_whatever_order(choice, tmp_path):
    for order, folder in ((("a1", "b2"), "one"), (("b2", "a1"), "other")):
        said = models(choice("dinov2"))
        for id in order:
            said.opinions(id, {"a1": VIEW, "b2": OTHER}[id])
        said.write(tmp_path / folder)
    names = [sorted(file.name for file in (tmp_path / folder).iterdir()) for folder in ("one", "other")]
    assert names == [["embedding-a.safetensors", "embedding-b.safetensors"]] * 2
    kept = tensors.read(tmp_path / "one", "embedding")
    assert all(torch.equal(kept[id], vector) for id, vector in tensors.read(tmp_path / "other", "embedding").items())
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}


def test_other_settings_are_not_answered_from_memory(choice):
    models(choice("clip")).opinions("a", VIEW)
    assert not models(choice("clip")).lack("a")
    assert models(choice("clip"), side=256).lack("a")
    assert models(choice("dinov2")).lack("a")


def test_other_weights_in_the_same_folder_are_not_answered_from_memory(choice, folders, tmp_path):
    copied = choice("clip")
    copied["weights"]["folder"] = str(shutil.copytree(folders["clip"], tmp_path / "copy"))
    models(copied).opinions("a", VIEW)
    settings = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 0.1}))
    assert models(copied).lack("a")


def test_a_damaged_memory_is_asked_anew(choice, tmp_path):
    said = models(choice("clip"))
    first = dict(said.opinions("a", VIEW), vector=vector(said, tmp_path / "one").tolist())
    file = said._file(said.embed.identity, "a")
    file.write_bytes(file.read_bytes()[:-1])
    assert said.lack("a")
    again = dict(said.opinions("a", VIEW), vector=vector(said, tmp_path / "two").tolist())
    assert first == again


def test_a_folder_without_a_model_is_refused(tmp_path):
    weights = {"repo": "nobody/nothing", "revision": "0" * 40, "folder": str(tmp_path)}
    with pytest.raises(ModelError, match=r"holds no config\.json; give the folder of nobody/nothing"):
        models({"name": "clip", "weights": weights})


def test_a_model_that_lacks_weights_is_refused(choice, folders, tmp_path):
    copied = choice("clip")
    folder = shutil.copytree(folders["clip"], tmp_path / "copy")
    copied["weights"]["folder"] = str(folder)
    save_file({"nothing": np.zeros(1, dtype=np.float32)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks weights, such as"):
        models(copied).opinions("a", VIEW)


def test_a_pickle_is_never_loaded(choice, folders, tmp_path):
    copied = choice("clip")
    folder = shutil.copytree(folders["clip"], tmp_path / "copy")
    copied["weights"]["folder"] = str(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no model that can be loaded"):
        models(copied).opinions("a", VIEW)


def test_a_model_that_is_not_here_and_cannot_be_fetched_says_so():
    weights = {"repo": "nobody/nothing", "revision": "0" * 40, "folder": ""}
    with pytest.raises(
        ModelError, match=r"nobody/nothing@0000.*run once with HF_HUB_OFFLINE=0, or set folder in weights"
    ):
        models({"name": "clip", "weights": weights}).opinions("a", VIEW)


@pytest.mark.parametrize("revision", ["main", "0" * 39, "v1.0"])
def test_a_revision_that_can_move_is_refused(revision):
    weights = {"repo": "nobody/nothing", "revision": revision, "folder": ""}
    with pytest.raises(ConfigError, match="revision"):
        models({"name": "clip", "weights": weights})
