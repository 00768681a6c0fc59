import dataclasses
import hashlib
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from stages import embeddings, families, machine, pipelines, shards, tables, tensors
from stages.encode.stage import Config, run
from stages.errors import TableError
from stages.images import decode, encode_png
from stages.records import Mask, Sample

CONFIG = Config(family="tiny", base_precision="fp32", long_captions="cut", threads=1, shard_digits=1)


def encoded(base, prepared, out):
    report = run(CONFIG, base=base, prepared=prepared, out=out)
    return tensors.read(out, "latents"), tensors.read(out, "prompts"), report


def test_every_sample_and_every_text_is_encoded(tiny_base, tiny_prepared, tmp_path):
    samples = tables.read(tiny_prepared, Sample)
    latents, prompts, report = encoded(tiny_base, tiny_prepared, tmp_path)
    assert set(latents) == {sample.id for sample in samples}
    assert set(prompts) == {f"{embeddings.key(text)}.tokens" for text in {sample.text for sample in samples} | {""}}
    assert report == {"latents": 12, "prompts": 5, "long_captions": 0, "lost/tokenizer": 0}
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


def counting(asked, what, answer):
    def ask(*arguments):
        asked[what] += 1
        return answer(*arguments)

    return ask


@pytest.fixture
def counted(monkeypatch):
    """How often the family's encoders were asked, by what for."""
    asked, built = Counter(), families.build

    def build(name, folder, **how):
        family = built(name, folder, **how)
        for what in ("encode_pictures", "encode_prompts", "tokens_lost"):
            monkeypatch.setattr(family, what, counting(asked, what, getattr(family, what)))
        return family

    monkeypatch.setattr(families, "build", build)
    return asked


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def changed(prepared, folder, change):
    """``prepared`` with the first sample replaced by what ``change`` makes of its values and its pixels."""
    some = shutil.copytree(prepared, folder)
    first, *others = tables.read(prepared, Sample)
    values, pixels = change(dataclasses.asdict(first), decode(shards.read(prepared, first.place)))
    png = encode_png(pixels)
    places = shards.write(folder / "new", {values["id"]: png}, digits=1)
    place = places[values["id"]]
    shutil.move(folder / "new" / place.shard, folder / "new.tar")
    values |= {"place": dataclasses.replace(place, shard="new.tar"), "digest": hashlib.sha256(png).hexdigest()}
    tables.write(some, Sample, [*others, Sample(**values)])
    return some


def test_where_nothing_is_new_nothing_is_loaded_and_the_bytes_are_the_same(
    tiny_base, tiny_prepared, tmp_path, counted, monkeypatch
):
    encoded(tiny_base, tiny_prepared, tmp_path / "one")
    assert counted == {"encode_pictures": 12, "encode_prompts": 5, "tokens_lost": 5}
    monkeypatch.setattr(pipelines, "quiet", lambda: pytest.fail("a part of the base was loaded"))
    *_, report = encoded(tiny_base, tiny_prepared, tmp_path / "two")
    assert counted == {"encode_pictures": 12, "encode_prompts": 5, "tokens_lost": 5}
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert report["prompts"] == 5


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (lambda values, pixels: ({**values, "id": f"{'0' * 64}-07"}, 255 - pixels), (1, 0)),  # a new picture
        (lambda values, pixels: ({**values, "text": "a wall of a cat"}, pixels), (0, 1)),  # new words
        (lambda values, pixels: (values, 255 - pixels), (1, 0)),  # other pixels under the same name
        (lambda values, pixels: ({**values, "width": 24, "height": 24}, cv2.resize(pixels, (24, 24))), (1, 0)),
        (lambda values, pixels: ({**values, "id": f"{'0' * 64}-07"}, pixels), (0, 0)),  # another name alone
    ],
)
def test_what_is_new_is_encoded_and_nothing_else(tiny_base, tiny_prepared, tmp_path, counted, change, asked):
    encoded(tiny_base, tiny_prepared, tmp_path / "before")
    counted.clear()
    later = changed(tiny_prepared, tmp_path / "prepared", change)
    encoded(tiny_base, later, tmp_path / "after")
    assert (counted["encode_pictures"], counted["encode_prompts"]) == asked
    machine.cache("encoded").rename(tmp_path / "forgotten")
    encoded(tiny_base, later, tmp_path / "afresh")
    assert bytes_of(tmp_path / "after") == bytes_of(tmp_path / "afresh")


def test_another_base_meets_nothing_of_the_one_before(tiny_base, tiny_prepared, tmp_path, counted):
    encoded(tiny_base, tiny_prepared, tmp_path / "before")
    counted.clear()
    other = shutil.copytree(tiny_base, tmp_path / "base")
    file = other / "vae" / "config.json"
    file.write_text(file.read_text().replace('"scaling_factor": 0.18215', '"scaling_factor": 0.5'))
    latents, _, _ = encoded(other, tiny_prepared, tmp_path / "after")
    assert counted == {"encode_pictures": 12}
    before = tensors.read(tmp_path / "before", "latents")
    assert all(torch.allclose(latents[id], before[id] * 0.5 / 0.18215) for id in before)


LONG = "a photo of coins on grass a cat wall"  # nine words, and two marks, where eight are taken


def test_long_captions_are_counted_and_named(tiny_base, tiny_prepared, tmp_path, caplog):
    def change(values, pixels):
        return {**values, "text": LONG}, pixels

    long = changed(tiny_prepared, tmp_path / "prepared", change)
    for out in ("one", "again"):
        caplog.clear()
        with caplog.at_level("WARNING"):
            *_, report = encoded(tiny_base, long, tmp_path / out)
        assert report["long_captions"] == 1
        assert report["lost/tokenizer"] == 4  # "on" has no token of its own
        frame = tables.read(tiny_prepared, Sample)[0].frame
        assert f"1 captions are longer than an encoder takes, those of {frame} the first" in caplog.text
    refusing = dataclasses.replace(CONFIG, long_captions="refuse")
    with pytest.raises(TableError, match=r"encode: 1 captions are longer .* or set encode.long_captions=cut"):
        run(refusing, base=tiny_base, prepared=long, out=tmp_path / "out")


def test_without_samples_there_is_an_error_that_says_what_to_do(tiny_base, tmp_path):
    with pytest.raises(TableError, match="there is no such table"):
        run(CONFIG, base=tiny_base, prepared=tmp_path, out=tmp_path / "out")


def test_a_mask_is_kept_in_the_size_of_the_latents(tiny_base, tiny_prepared, tmp_path):
    some = shutil.copytree(tiny_prepared, tmp_path / "prepared")
    sample = tables.read(some, Sample)[2]
    grey = np.zeros((16, 16), dtype=np.uint8)
    grey[:, :8] = 255
    grey[0, 8] = 255  # a quarter of one place
    places = shards.write(some / "masks", {sample.id: encode_png(grey)}, digits=1)
    (some / "masks" / places[sample.id].shard).rename(some / "masks.tar")
    place = dataclasses.replace(places[sample.id], shard="masks.tar")
    tables.write(some, Mask, [Mask(id=sample.id, place=place)])
    encoded(tiny_base, some, tmp_path / "out")
    known = embeddings.read(tmp_path / "out")
    assert set(known.masks) == {sample.id}
    mask = known.masks[sample.id]
    assert (mask.shape, mask.dtype) == ((8, 8), torch.float32)
    assert (mask[:, :4] == 1).all()
    assert (mask[0, 4].item(), mask[:, 4:].sum().item()) == (0.25, 0.25)
