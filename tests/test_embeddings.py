import hashlib

import pytest
import torch

from stages import denoising, embeddings, families, tables, tensors
from stages.embeddings import Embeddings
from stages.errors import TableError
from stages.records import Sample


@pytest.fixture
def sample(tiny_prepared):
    return tables.read(tiny_prepared, Sample)[0]


@pytest.fixture
def known():
    words = {"tokens": torch.randn(8, 16), "pooled": torch.randn(5)}
    nothing = {"tokens": torch.zeros(8, 16), "pooled": torch.zeros(5)}
    prompts = {embeddings.key("a cat"): words, embeddings.key(""): nothing}
    latents = {"0a": torch.randn(4, 8, 8), "f1": torch.randn(4, 8, 8)}
    return Embeddings(
        latents=latents, prompts=prompts, pictures={"0a": {"sizes": torch.arange(6.0)}, "f1": {}}, masks={}
    )


def test_what_is_written_comes_back(tmp_path, known):
    tensors.write(tmp_path, "latents", known.latents, digits=1)
    for kind, given in (("prompts", known.prompts), ("pictures", known.pictures)):
        for of, conditions in given.items():
            tensors.write(tmp_path, kind, embeddings.named(of, conditions), digits=3)
    found = embeddings.read(tmp_path)
    assert {id: each.tolist() for id, each in found.latents.items()} == {
        id: each.tolist() for id, each in known.latents.items()
    }
    assert set(found.prompts) == set(known.prompts)
    for text, conditions in known.prompts.items():
        assert set(found.prompts[text]) == {"tokens", "pooled"}
        assert all(torch.equal(found.prompts[text][name], value) for name, value in conditions.items())
    assert found.pictures["0a"]["sizes"].tolist() == [0, 1, 2, 3, 4, 5]
    assert "f1" not in found.pictures


def test_a_text_is_named_by_its_digest():
    assert embeddings.key("café") == hashlib.sha256("café".encode()).hexdigest()
    assert embeddings.key("") != embeddings.key(" ")


def test_no_words_have_conditions_too(known):
    assert known.empty is known.prompts[embeddings.key("")]


def test_latents_and_conditions_are_found_by_sample_and_text(tiny_encoded, sample):
    latents, conditions = embeddings.read(tiny_encoded).of(sample)
    stored = tensors.read(tiny_encoded, "prompts")[f"{embeddings.key(sample.text)}.tokens"]
    assert torch.equal(latents, tensors.read(tiny_encoded, "latents")[sample.id])
    assert torch.equal(conditions["tokens"], stored)


def test_where_nothing_was_encoded_is_said(tmp_path):
    with pytest.raises(TableError, match="dvc repro"):
        embeddings.read(tmp_path)


def test_the_heldout_loss_is_the_mean_with_the_pictures_own_noise(tiny_base, tiny_encoded, sample):
    family, known = families.build("tiny", tiny_base), embeddings.read(tiny_encoded)
    seed = denoising.picture_seed(4, sample.id)
    expected = denoising.fixed_loss(family, *known.of(sample), seed=seed).mean().item()
    assert embeddings.heldout_loss(family, known, sample, seed=4) == pytest.approx(expected)
    assert embeddings.heldout_loss(family, known, sample, seed=5) != expected
