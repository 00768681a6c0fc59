"""Models as embedders: loaded by the real code, fed by an input of our own, and remembered."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from stages import specimens
from stages.errors import ModelError
from stages.evaluate import features
from stages.evaluate.embedders import Reading
from stages.vision import Eye

CAT, CUP = specimens.photograph("chelsea"), specimens.photograph("coffee")
WIDTHS = {"clip": 12, "dinov2": 16}
LONG = "picture " * 100
SIZES = [(299, 299), (64, 48), (900, 1200)]  # down, far down, up


def by_pillow(pixels, size):
    height, width = size
    channels = [Image.fromarray(pixels[..., c].astype(np.float32)) for c in range(3)]
    resized = [np.asarray(each.resize((width, height), Image.Resampling.BICUBIC)) for each in channels]
    return np.stack(resized).clip(0, 255)


@pytest.mark.parametrize("size", SIZES)
def test_pictures_are_resized_as_pillow_does_it_in_float(size):
    ours = features.resized(torch.from_numpy(CAT.astype(np.float32)).permute(2, 0, 1), size).numpy()
    assert ours.shape == (3, *size)
    assert np.abs(ours - by_pillow(CAT, size)).max() < 5e-3


def eye(size, crop):
    images = {"size": size, "crop_size": crop, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2]}
    return Eye(None, SimpleNamespace(**images))


@pytest.mark.parametrize("turn", [False, True], ids=["wide", "tall"])
def test_the_input_is_the_middle_square_of_the_resized_picture(turn):
    picture = CAT.transpose(1, 0, 2).copy() if turn else CAT  # 300 x 451
    made = features.model_input(picture, eye({"shortest_edge": 50}, {"height": 40, "width": 40}))
    size = (75, 50) if turn else (50, 75)
    top, left = (17, 5) if turn else (5, 17)
    cut = by_pillow(picture, size)[:, top : top + 40, left : left + 40] / 255
    normalised = (cut - np.array([0.5, 0.4, 0.3])[:, None, None]) / np.array([0.5, 0.25, 0.2])[:, None, None]
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made[0].numpy(), normalised, atol=2e-4)


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        ({"shortest_edge": None, "height": 8}, {"height": 8, "width": 8}),
        ({"shortest_edge": 8}, None),
        ({"shortest_edge": 8}, {"height": 8, "width": 6}),
        ({"shortest_edge": 8}, {"height": 9, "width": 9}),
    ],
)
def test_a_model_that_wants_another_input_is_refused(size, crop):
    with pytest.raises(ModelError, match="cuts no square out of a picture"):
        features.model_input(CAT, eye(size, crop))


@pytest.mark.parametrize("name", WIDTHS)
def test_features_are_always_the_same_and_know_pictures_apart(name, embedder, monkeypatch, tmp_path):
    frozen = CUP.copy()
    frozen.setflags(write=False)  # as decoded pictures are
    one, other = embedder(name)([CAT, frozen])
    assert (one.dtype, one.shape) == (np.float64, (WIDTHS[name],))
    assert not np.allclose(one, other, atol=1e-3)
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path))  # nothing is remembered
    np.testing.assert_array_equal(embedder(name)([CUP, CAT]), [other, one])


def test_a_picture_is_looked_at_once(embedder):
    first = embedder("dinov2")([CAT])
    again = embedder("dinov2")
    np.testing.assert_array_equal(again([CAT, CAT]), np.repeat(first, 2, axis=0))
    assert "eye" not in vars(again.sight)  # it was never loaded
    again([CUP])
    assert "eye" in vars(again.sight)


def test_pictures_of_the_same_bytes_and_another_shape_are_two():
    flat = np.arange(24, dtype=np.uint8)
    for shape in ((2, 4, 3), (4, 2, 3)):
        found = features.remembered("x", [flat.reshape(shape)], lambda pixels: torch.tensor(pixels.shape))
        np.testing.assert_array_equal(found, [shape])


def test_other_weights_have_another_identity_and_are_not_answered_from_memory(embedder, eyes, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(eyes["dinov2"], tmp_path / "copy")
    weights = {name: value * 1.5 for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    one, other = embedder("dinov2"), embedder("dinov2", folder)
    assert one.identity != other.identity
    assert not np.allclose(one([CAT]), other([CAT]))
    assert one.identity == embedder("dinov2").identity


def test_the_identity_says_model_weights_and_input(embedder):
    kind, weights, how = embedder("clip").identity.split(" ", 2)
    assert kind == "clip"
    assert weights.startswith("sha256:")
    assert how == features.INPUT


def test_clip_reads_and_dinov2_does_not(embedder):
    assert isinstance(embedder("clip"), Reading)
    assert not isinstance(embedder("dinov2"), Reading)


@pytest.mark.parametrize("end", [None, 2], ids=["as the tokenizer has it", "as in OpenAI's files"])
def test_long_texts_that_differ_early_have_other_features(end, embedder, eyes, tmp_path):
    """Cut without their end token they would all have the same: Lightning-AI/torchmetrics#2883."""
    folder = shutil.copytree(eyes["clip"], tmp_path / "copy")
    known = json.loads((folder / "config.json").read_text())
    known["text_config"]["eos_token_id"] = end or known["text_config"]["eos_token_id"]
    (folder / "config.json").write_text(json.dumps(known))
    read = embedder("clip", folder).read([f"{start} {LONG}" for start in ("cat", "dog", "a cup of tea")])
    assert read.cut.tolist() == [True] * 3
    one, two, three = read.features
    assert min(np.abs(one - two).max(), np.abs(one - three).max(), np.abs(two - three).max()) > 1e-3


def test_only_texts_beyond_the_last_token_are_cut(embedder):
    fits, less, long = "picture " * 75, "picture " * 74, "picture " * 76  # and two marks: 77 tokens at most
    read = embedder("clip").read([less, fits, long, ""])
    assert read.cut.tolist() == [False, False, True, False]
    np.testing.assert_array_equal(read.features[1], read.features[2])
    assert not np.allclose(read.features[0], read.features[1], atol=1e-6)


def test_a_text_is_read_as_the_whole_clip_reads_it(embedder, eyes):
    from transformers import AutoTokenizer, CLIPModel

    net, words = CLIPModel.from_pretrained(eyes["clip"]).eval(), AutoTokenizer.from_pretrained(eyes["clip"])
    texts = ["a picture", "another picture of a picture", LONG]
    tokens = words(texts, truncation=True, max_length=77, padding=True, return_tensors="pt")
    with torch.no_grad():
        known = net.get_text_features(**tokens)
    known = getattr(known, "pooler_output", known)
    np.testing.assert_allclose(embedder("clip").read(texts).features, known.numpy(), atol=1e-5)
