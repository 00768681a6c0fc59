import shutil

import pytest
import torch

from stages import embeddings, families, shards, tables, tensors
from stages.encode.stage import Config, run
from stages.errors import TableError
from stages.images import decode
from stages.records import Sample

CONFIG = Config(family="tiny", threads=1, shard_digits=1)


def encoded(base, prepared, out):
    report = run(CONFIG, base=base, prepared=prepared, out=out)
    return tensors.read(out, "latents"), tensors.read(out, "prompts"), report


def test_every_sample_and_every_text_is_encoded(tiny_base, tiny_prepared, tmp_path):
    samples = tables.read(tiny_prepared, Sample)
    latents, prompts, report = encoded(tiny_base, tiny_prepared, tmp_path)
    assert set(latents) == {sample.id for sample in samples}
    assert set(prompts) == {f"{embeddings.key(text)}.tokens" for text in {sample.text for sample in samples} | {""}}
    assert report == {"latents": 12, "prompts": 5}
    assert {tuple(latent.shape) for latent in latents.values()} == {(4, 8, 8)}
    assert {tuple(prompt.shape) for prompt in prompts.values()} == {(8, 16)}


def test_the_tensors_are_those_of_the_family(tiny_base, tiny_prepared, tiny_encoded):
    family = families.build("tiny", tiny_base)
    sample = tables.read(tiny_prepared, Sample)[3]
    latents, prompts = tensors.read(tiny_encoded, "latents"), tensors.read(tiny_encoded, "prompts")
    pixels = decode(shards.read(tiny_prepared, sample.place))
    assert torch.equal(latents[sample.id], family.encode_pictures(pixels[None])[0])
    assert torch.equal(
        prompts[f"{embeddings.key(sample.text)}.tokens"], family.encode_prompts([sample.text])["tokens"][0]
    )


def test_the_empty_text_is_encoded_for_guidance(tiny_base, tiny_encoded):
    prompts = tensors.read(tiny_encoded, "prompts")
    expected = families.build("tiny", tiny_base).encode_prompts([""])["tokens"][0]
    assert torch.equal(prompts[f"{embeddings.key('')}.tokens"], expected)


@pytest.mark.parametrize("keep", [1, 2, 7])
def test_what_is_encoded_does_not_depend_on_what_else_there_is(tiny_base, tiny_prepared, tiny_encoded, tmp_path, keep):
    """To the bit: else one new picture would change every shard."""
    some = shutil.copytree(tiny_prepared, tmp_path / "prepared")
    tables.write(some, Sample, tables.read(tiny_prepared, Sample)[-keep:])
    latents, prompts, _ = encoded(tiny_base, some, tmp_path / "out")
    all_latents, all_prompts = tensors.read(tiny_encoded, "latents"), tensors.read(tiny_encoded, "prompts")
    assert len(latents) == keep
    assert all(torch.equal(latent, all_latents[id]) for id, latent in latents.items())
    assert all(torch.equal(prompt, all_prompts[key]) for key, prompt in prompts.items())


def test_the_same_samples_give_the_same_bytes(tiny_base, tiny_prepared, tiny_encoded, tmp_path):
    torch.rand(7)
    encoded(tiny_base, tiny_prepared, tmp_path)
    files = sorted(tiny_encoded.iterdir())
    assert [file.name for file in files] == sorted(file.name for file in tmp_path.iterdir())
    assert all(file.read_bytes() == (tmp_path / file.name).read_bytes() for file in files)


def test_without_samples_there_is_an_error_that_says_what_to_do(tiny_base, tmp_path):
    with pytest.raises(TableError, match="there is no such table"):
        run(CONFIG, base=tiny_base, prepared=tmp_path, out=tmp_path / "out")
