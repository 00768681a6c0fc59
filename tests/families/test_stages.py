"""Every family on the stages' own path: encode, train with stops, generate. Pictures and weights are tiny, the code is not."""

import logging

import pytest

from stages import embeddings, families, tables
from stages.encode import stage as encode
from stages.generate import stage as generate
from stages.records import Generation, Sample
from stages.train import stage as train

FAMILIES = ("flux", "sd35", "sdxl", "tiny")
STOPS = (3, 4, 5, 9, 11)  # of 12 steps, with a checkpoint every 4
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


class StoppedError(Exception):
    """What a run is broken off with."""


@pytest.fixture(scope="module", params=FAMILIES)
def encoded(request, family_bases, tiny_prepared, session_cache, tmp_path_factory):
    """A family's name, its base, and what encode leaves for it."""
    folder = tmp_path_factory.mktemp("encoded")
    base = family_bases[request.param]
    encode.run(
        encode.Config(family=request.param, base_precision="fp32", long_captions="cut", threads=1, shard_digits=1),
        base=base,
        prepared=tiny_prepared,
        out=folder,
    )
    return request.param, base, folder


def broken_off(at):
    import lightning

    class Stopper(lightning.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == at:
                raise StoppedError

    return Stopper()


def fitted(encoded, config, prepared, checkpoint, *, stop=None):
    """The adapter's bytes and the points of a training, broken off after the step ``stop``."""
    name, base, folder = encoded
    family = families.build(name, base, precision=config.base_precision)
    train.add_adapter(family, config)
    extra = [broken_off(stop)] if stop else []
    points = train.fit(family, config, tables.read(prepared, Sample), embeddings.read(folder), checkpoint, extra)
    family.save_adapter(checkpoint.with_suffix(".safetensors"))
    return checkpoint.with_suffix(".safetensors").read_bytes(), points


@pytest.mark.slow
def test_training_resumes_to_the_bit_wherever_it_was_stopped(encoded, tiny_prepared, tiny_training, tmp_path):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    config = tiny_training(family=encoded[0], targets=TARGETS, lr=0.01, ema_decay=0.9, dropout=0.1)
    whole = fitted(encoded, config, tiny_prepared, tmp_path / "whole.ckpt")
    for stop in STOPS:
        checkpoint = tmp_path / f"{stop}.ckpt"
        with pytest.raises(StoppedError):
            fitted(encoded, config, tiny_prepared, checkpoint, stop=stop)
        assert fitted(encoded, config, tiny_prepared, checkpoint) == whole, f"stopped after step {stop}"


@pytest.mark.parametrize("encoded", ["tiny"], indirect=True)
def test_training_with_text_encoders_resumes_and_is_measured_by_their_words(
    encoded, tiny_prepared, tiny_training, tmp_path
):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    how = {"lr": 0.01, "dropout": 0.1, "base_precision": "bf16"}
    config = tiny_training(family=encoded[0], targets=TARGETS, text_targets=("q_proj", "fc1"), **how)
    whole = fitted(encoded, config, tiny_prepared, tmp_path / "whole.ckpt")
    with pytest.raises(StoppedError):
        fitted(encoded, config, tiny_prepared, tmp_path / "5.ckpt", stop=5)
    assert fitted(encoded, config, tiny_prepared, tmp_path / "5.ckpt") == whole
    family, (last, known) = families.build(*encoded[:2], precision="bf16"), (whole[1][-1], embeddings.read(encoded[2]))
    family.load_adapter(tmp_path / "whole.safetensors")
    measure = train.heldout_losses(family, tables.read(tiny_prepared, Sample), known, seed=config.seed)
    assert measure()["subject"] == pytest.approx(last.heldout_loss, rel=1e-6)
    words, family.networks = family.networks, {}  # as if the conditions of the base still held
    assert words
    assert measure()["subject"] != pytest.approx(last.heldout_loss, rel=1e-4)


@pytest.mark.slow
def test_what_was_trained_is_drawn_with(encoded, tiny_prepared, tiny_training, tmp_path):
    name, base, folder = encoded
    config = tiny_training(family=name, targets=TARGETS, lr=1.0)
    report = train.run(config, base=base, prepared=tiny_prepared, encoded=folder, out=tmp_path / "trained")
    assert report["steps"] == 12
    wanted = {
        "subject_pictures": 3,
        "prior_pictures": 2,
        "max_prompts": 2,
        "checkpoints": 0,
        "size": (16, 16),
        "steps": 2,
    }
    wanted |= {"base_precision": "fp32", "guidance": 2.0, "batch": 4, "seed": 0, "threads": 1, "shard_digits": 1}
    folders = {"base": base, "prepared": tiny_prepared, "trained": tmp_path / "trained", "out": tmp_path / "drawn"}
    generate.run(generate.Config(family=name, **wanted), **folders)
    rows = tables.read(tmp_path / "drawn", Generation)
    assert len(rows) == 10
    drawn = {arm: [row.place.offset for row in rows if row.arm == arm] for arm in ("base", "adapter")}
    assert len(drawn["base"]) == len(drawn["adapter"]) == 5
    content = {row.id: _png(tmp_path / "drawn", row) for row in rows}
    pairs = {(row.prompt, row.seed): {} for row in rows}
    for row in rows:
        pairs[row.prompt, row.seed][row.arm] = content[row.id]
    assert any(pair["base"] != pair["adapter"] for pair in pairs.values())


def _png(folder, row):
    from stages import shards

    return shards.read(folder, row.place)
