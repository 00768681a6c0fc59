import errno
import logging
import math
import os
import re
import signal

import lightning
import pytest
import torch

from stages import embeddings, families, machine, tables, trainings
from stages.errors import ConfigError, DarkroomError, ModelError
from stages.records import Failure, Point, Sample
from stages.train import checkpoints, guard, stage
from stages.train.batches import Batches


class Stopped(Exception):
    """What a broken-off run dies of."""


class Stopper(lightning.Callback):
    """Breaks the run off after step ``at``."""

    def __init__(self, at):
        self.at = at

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.at:
            raise Stopped


@pytest.fixture
def trained(tiny_base, tiny_prepared, tiny_encoded, tmp_path):
    """Train with a configuration and a checkpoint, broken off after a step; gives the adapter's bytes and the points."""
    samples = tables.read(tiny_prepared, Sample)
    known = embeddings.read(tiny_encoded)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def train(config, checkpoint, *, stop=None, extra=()):
        family = families.build("tiny", tiny_base)
        stage.add_adapter(family, config)
        points = stage.fit(family, config, samples, known, checkpoint, [*extra, *([Stopper(stop)] if stop else [])])
        family.save_adapter(tmp_path / "adapter.safetensors")
        return (tmp_path / "adapter.safetensors").read_bytes(), points

    return train


OPTIMISERS = {
    "prodigy": {"betas": [0.9, 0.99], "weight_decay": 0.01, "d0": 1e-3, "d_coef": 1.0},
    "schedule_free": {"betas": [0.9, 0.99], "weight_decay": 0.01},
    "muon": {"momentum": 0.95, "betas": [0.9, 0.99], "weight_decay": 0.01},
    "adafactor": {"min_scale": 1.0, "clip": 1.0, "beta2_decay": -0.8, "weight_decay": 0.0},
}


def by(name, **others):
    return {"optimiser": {"name": name, **OPTIMISERS[name]}, "kind": "constant", **others}


@pytest.mark.parametrize("others", [{}, {"ema_decay": 0.9, "dropout": 0.1}], ids=["plain", "average and dropout"])
def test_a_run_that_was_broken_off_ends_as_an_undisturbed_one(trained, tiny_training, tmp_path, others):
    config = tiny_training(**others)
    adapter, points = trained(config, tmp_path / "whole.ckpt")
    assert [point.step for point in points] == [0, 5, 10, 12]
    for stop in (
        3,
        4,
        5,
        9,
        11,
        12,
    ):  # before the first checkpoint, on one, behind one, behind a point, near the end, at it
        checkpoint = tmp_path / f"{stop}.ckpt"
        with pytest.raises(Stopped):
            trained(config, checkpoint, stop=stop)
        assert checkpoint.is_file() == (stop >= 4)
        torch.manual_seed(99)
        torch.rand(5)
        assert trained(config, checkpoint) == (adapter, points), f"stopped after step {stop}"


@pytest.mark.parametrize(
    "others",
    [
        by("prodigy", lr=1.0, lora_plus=1.0),
        by("schedule_free", keep="best", curve_every=2),
        by("muon", lora_plus=4.0),
        by("adafactor", precision="bf16-mixed"),
        {"accumulate": 2, "dropout": 0.1, "ema_decay": 0.9},
        {"patience": 2, "min_delta": 0.9, "curve_every": 3, "checkpoint_every": 3},
        {"keep": "best", "kind": "cosine_restarts", "cycles": 3, "curve_every": 2, "ema_decay": 0.5},
    ],
    ids=["prodigy", "schedule-free", "muon", "adafactor in bf16", "accumulation", "early stop", "best"],
)
def test_a_run_of_any_kind_that_was_broken_off_ends_as_an_undisturbed_one(trained, tiny_training, tmp_path, others):
    config = tiny_training(**others)
    whole = trained(config, tmp_path / "whole.ckpt")
    assert whole[1][-1].step == (6 if "patience" in others else 12)
    for stop in (5, 12) if whole[1][-1].step > 9 else (3, 6):
        with pytest.raises(Stopped):
            trained(config, tmp_path / f"{stop}.ckpt", stop=stop)
        assert trained(config, tmp_path / f"{stop}.ckpt") == whole, f"stopped after step {stop}"


def test_a_run_may_be_broken_off_between_the_batches_of_a_step(trained, tiny_training, tmp_path):
    config = tiny_training(accumulate=2, dropout=0.1)

    class Early(lightning.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if batch_idx == 10:  # the first of two of the sixth step
                raise Stopped

    with pytest.raises(Stopped):
        trained(config, tmp_path / "early.ckpt", extra=[Early()])
    assert checkpoints.newest(tmp_path / "early.ckpt")[1] == 4
    assert trained(config, tmp_path / "early.ckpt") == trained(config, tmp_path / "whole.ckpt")


def test_a_run_may_be_broken_off_twice(trained, tiny_training, tmp_path):
    config = tiny_training(dropout=0.1)
    for stop in (5, 9):
        with pytest.raises(Stopped):
            trained(config, tmp_path / "twice.ckpt", stop=stop)
    assert trained(config, tmp_path / "twice.ckpt") == trained(config, tmp_path / "whole.ckpt")


def test_measuring_on_the_way_does_not_touch_the_training(trained, tiny_training, tmp_path):
    often, often_points = trained(tiny_training(curve_every=1, dropout=0.1), tmp_path / "often.ckpt")
    rarely, rare_points = trained(tiny_training(curve_every=5, dropout=0.1), tmp_path / "rarely.ckpt")
    assert often == rarely
    assert len(often_points) == 13
    heldout = {point.step: point.heldout_loss for point in often_points}
    assert all(heldout[point.step] == point.heldout_loss for point in rare_points)


@pytest.mark.parametrize("other", [{"seed": 4}, {"ema_decay": 0.9}, {"caption_dropout": 0.0}, {"prior_share": 0.0}])
def test_another_setting_gives_another_adapter(trained, tiny_training, tmp_path, other):
    assert trained(tiny_training(**other), tmp_path / "other.ckpt")[0] != trained(tiny_training(), tmp_path / "ckpt")[0]


def test_dropout_is_on_in_training(trained, tiny_training, tmp_path):
    with_dropout, _ = trained(tiny_training(dropout=0.5), tmp_path / "one.ckpt")
    without, _ = trained(tiny_training(), tmp_path / "other.ckpt")
    assert with_dropout != without


def test_dropout_is_off_in_measuring_and_on_again_afterwards(tiny_base, tiny_prepared, tiny_encoded, tiny_training):
    family = families.build("tiny", tiny_base)
    stage.add_adapter(family, tiny_training(dropout=0.5))
    for weight in family.denoiser.parameters():
        if weight.requires_grad:
            weight.data.normal_(0, 0.3)
    samples = tables.read(tiny_prepared, Sample)
    known = embeddings.read(tiny_encoded)
    measure = stage.heldout_losses(family, samples, known, seed=0)
    for learning in (True, False):
        family.denoiser.train(learning)
        torch.manual_seed(1)
        one = measure()
        torch.manual_seed(2)
        assert measure() == one
        assert family.denoiser.training is learning


def test_a_run_leaves_adapter_curves_and_no_checkpoint(
    tiny_base, tiny_prepared, tiny_encoded, tiny_trained, tiny_training, tmp_path
):
    torch.rand(3)
    report = stage.run(tiny_training(), base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path)
    assert not list(machine.cache("train").iterdir())
    for name in ("adapter.safetensors", "point.jsonl"):
        assert (tmp_path / name).read_bytes() == (tiny_trained / name).read_bytes()
    points = tables.read(tmp_path, Point)
    assert [point.id for point in points] == ["00000000", "00000005", "00000010", "00000012"]
    assert report["steps"] == 12
    assert report["samples"] == 7
    assert report["heldout_loss_before"] == points[0].heldout_loss
    assert report["heldout_loss"] == points[-1].heldout_loss != points[0].heldout_loss
    assert report["prior_loss"] == points[-1].prior_loss
    assert report["weights"] > 0
    assert all(math.isfinite(number) for number in report.values())


def test_a_run_goes_on_from_the_checkpoint_of_the_run_before(
    trained, tiny_base, tiny_prepared, tiny_encoded, tiny_trained, tiny_training, tmp_path
):
    config = tiny_training()
    checkpoint = machine.cache("train") / f"{stage.digest(config, tiny_base, tiny_encoded, tiny_prepared)}.ckpt"
    with pytest.raises(Stopped):
        trained(config, checkpoint, stop=9)
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 8
    stage.run(config, base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path / "out")
    assert (tmp_path / "out" / stage.ADAPTER).read_bytes() == (tiny_trained / stage.ADAPTER).read_bytes()
    assert not checkpoint.exists()


def test_without_a_prior_there_is_no_prior_loss(tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path):
    import shutil

    alone = shutil.copytree(tiny_prepared, tmp_path / "prepared")
    tables.write(alone, Sample, [row for row in tables.read(tiny_prepared, Sample) if row.role == "subject"])
    config = tiny_training(steps=2)
    report = stage.run(config, base=tiny_base, prepared=alone, encoded=tiny_encoded, out=tmp_path / "out")
    assert "prior_loss" not in report
    assert {point.prior_loss for point in tables.read(tmp_path / "out", Point)} == {None}


def test_the_best_step_is_kept_and_every_snapshot_left(
    tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path, monkeypatch
):
    losses = {0: 1.0, 4: 0.6, 8: 0.5, 12: 0.7}
    reports = {}
    for keep in ("last", "best"):
        measured = iter([{"subject": loss, "prior": None} for loss in losses.values()])
        monkeypatch.setattr(stage, "heldout_losses", lambda *_, measured=measured, **__: lambda: next(measured))
        config = tiny_training(curve_every=4, snapshots=4, keep=keep)
        given = {"base": tiny_base, "prepared": tiny_prepared, "encoded": tiny_encoded}
        reports[keep] = stage.run(config, **given, out=tmp_path / keep)
    assert not list(machine.cache("train").iterdir())
    for keep in ("last", "best"):
        assert trainings.recall(tmp_path / keep)[1]["seconds"] > 0, "what a training left is not known as its own"
    assert reports["last"]["best_step"] == reports["best"]["best_step"] == 8
    assert reports["last"]["heldout_loss"] == 0.7
    assert reports["best"]["heldout_loss"] == 0.5
    left = {keep: sorted((tmp_path / keep / stage.SNAPSHOTS).iterdir()) for keep in reports}
    assert [file.name for file in left["best"]] == [f"{step:08d}.safetensors" for step in (4, 8, 12)]
    bytes_of = [file.read_bytes() for file in left["best"]]
    assert bytes_of == [file.read_bytes() for file in left["last"]]
    assert (tmp_path / "best" / stage.ADAPTER).read_bytes() == bytes_of[1] != bytes_of[2]
    assert (tmp_path / "last" / stage.ADAPTER).read_bytes() == bytes_of[2]


def test_a_training_shorter_than_the_steps_between_snapshots_leaves_none(
    tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path
):
    config = tiny_training(steps=3, snapshots=4)
    stage.run(config, base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path / "out")
    assert (tmp_path / "out" / stage.ADAPTER).is_file()
    assert not (tmp_path / "out" / stage.SNAPSHOTS).exists()


def test_snapshots_of_before_a_stop_are_not_lost(trained, tiny_training, tmp_path):
    config = tiny_training(snapshots=4, ema_decay=0.9)
    with pytest.raises(Stopped):
        trained(config, tmp_path / "stopped.ckpt", stop=6)
    last, _ = trained(config, tmp_path / "stopped.ckpt")
    files = sorted(checkpoints.snapshots(tmp_path / "stopped.ckpt").iterdir())
    assert [file.name for file in files] == [f"{step:08d}.safetensors" for step in (4, 8, 12)]
    assert files[-1].read_bytes() == last != files[0].read_bytes()  # the average, and not the last weights


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_a_checkpoint(trained, tiny_training, tmp_path, number):
    class Sender(lightning.Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 5:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(SystemExit):
        trained(tiny_training(), tmp_path / "one.ckpt", extra=[Sender()])
    assert signal.getsignal(number) is before
    assert checkpoints.newest(tmp_path / "one.ckpt")[1] == 6
    assert trained(tiny_training(), tmp_path / "one.ckpt") == trained(tiny_training(), tmp_path / "whole.ckpt")


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_taken(trained, tiny_training, tmp_path, caplog):
    file = tmp_path / "one.ckpt"
    with pytest.raises(Stopped):
        trained(tiny_training(), file, stop=9)
    file.write_bytes(file.read_bytes()[:-1000])
    assert checkpoints.newest(file) == (checkpoints.before(file), 4)
    assert [record.message for record in caplog.records] == [
        f"train: the checkpoint {tmp_path / 'one.damaged'} is damaged and set aside; training goes on without it"
    ]
    checkpoints.before(file).write_bytes(b"")
    assert checkpoints.newest(file) is None
    assert trained(tiny_training(), file) == trained(tiny_training(), tmp_path / "whole.ckpt")


def test_a_checkpoint_of_other_settings_is_refused_and_stays(trained, tiny_training, tmp_path):
    with pytest.raises(Stopped):
        trained(tiny_training(), tmp_path / "one.ckpt", stop=5)
    (tmp_path / "one.ckpt").rename(tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match=r"other\.ckpt: is a checkpoint of other settings or data \(one\)"):
        trained(tiny_training(), tmp_path / "other.ckpt")
    assert (tmp_path / "other.ckpt").is_file()


def test_a_full_disk_leaves_the_last_good_checkpoint(trained, tiny_training, tmp_path, monkeypatch):
    save = lightning.Trainer.save_checkpoint

    def filling(trainer, file):
        if trainer.global_step == 8:
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(trainer, file)

    monkeypatch.setattr(lightning.Trainer, "save_checkpoint", filling)
    with pytest.raises(DarkroomError, match=r"one\.ckpt: the disk is full at step 8; free some space"):
        trained(tiny_training(), tmp_path / "one.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["one.ckpt"]
    assert checkpoints.newest(tmp_path / "one.ckpt")[1] == 4


@pytest.mark.parametrize(
    ("every", "says"), [(1, r"the last good checkpoint is .*one\.ckpt"), (9, "there is no checkpoint yet")]
)
def test_a_loss_that_is_no_number_ends_the_run_with_its_samples(
    trained, tiny_training, tiny_prepared, tmp_path, monkeypatch, every, says
):
    config = tiny_training(checkpoint_every=every, batch=2)
    plan = stage._plan(tables.read(tiny_prepared, Sample), config)
    third = [plan.samples[index].id for index in Batches(plan).batch(2)]
    of = embeddings.Embeddings.of

    def spoilt(known, sample):
        latents, *rest = of(known, sample)
        return (latents * math.nan if sample.id == third[0] else latents, *rest)

    monkeypatch.setattr(embeddings.Embeddings, "of", spoilt)
    with pytest.raises(ModelError) as caught:
        trained(config, tmp_path / "one.ckpt")
    start = f"train: the loss of step 3 is nan; its samples are {', '.join(third)}; "
    assert str(caught.value).startswith(start)
    assert re.search(says + "; look at these samples, or give a lower", str(caught.value))
    state = [torch.load(file, weights_only=True)["state_dict"] for file in tmp_path.glob("*.ckpt")]
    assert all(value.isfinite().all() for each in state for value in each.values())
    assert bool(state) == (every == 1)


def test_weights_that_are_no_numbers_are_not_saved(trained, tiny_training, tmp_path):
    class Spoiler(lightning.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer):
            if trainer.global_step == 7:
                module.weights()[0].data[0] = math.inf

    with pytest.raises(ModelError, match=r"after step 8 weights are no finite numbers|the loss of step 8 is nan"):
        trained(tiny_training(), tmp_path / "one.ckpt", extra=[Spoiler()])
    assert checkpoints.newest(tmp_path / "one.ckpt")[1] == 4
    with pytest.raises(
        ModelError, match="after step 3 weights are no finite numbers; there is no checkpoint yet; give a lower"
    ):
        guard.refuse_broken([torch.ones(2), torch.tensor([1.0, math.nan])], step=3, checkpoint=tmp_path / "none")


def test_activations_computed_again_give_the_same_to_the_bit(trained, tiny_training, tmp_path, monkeypatch):
    calls = []
    again = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", lambda *a, **b: calls.append(1) or again(*a, **b))
    plain = trained(tiny_training(dropout=0.1), tmp_path / "plain.ckpt")
    assert not calls
    assert trained(tiny_training(dropout=0.1, checkpointing=True), tmp_path / "again.ckpt") == plain
    assert calls


def test_processes_that_load_change_nothing(trained, tiny_training, tmp_path, monkeypatch):
    plain = trained(tiny_training(), tmp_path / "plain.ckpt")
    monkeypatch.setattr(machine, "loaders", lambda: 2)
    with pytest.raises(Stopped):
        trained(tiny_training(), tmp_path / "many.ckpt", stop=6)
    assert trained(tiny_training(), tmp_path / "many.ckpt") == plain


def test_a_batch_in_parts_teaches_what_a_whole_one_does(trained, tiny_training, tmp_path):
    _, whole = trained(tiny_training(curve_every=2, steps=4), tmp_path / "whole.ckpt")
    _, parts = trained(tiny_training(curve_every=2, steps=4, accumulate=2), tmp_path / "parts.ckpt")
    assert [point.step for point in parts] == [0, 2, 4]
    for name in ("loss", "heldout_loss", "rate"):
        assert [getattr(point, name) for point in parts] == pytest.approx([getattr(point, name) for point in whole])


def test_a_batch_without_equal_parts_is_refused(tiny_base, tiny_training):
    with pytest.raises(
        ConfigError,
        match=r"train\.accumulate: 4 pictures have no 3 equal parts for each of 1 processes; give a divisor",
    ):
        stage.refuse_unfit(families.build("tiny", tiny_base), tiny_training(accumulate=3), [])


def test_training_teaches_the_training_pictures(trained, tiny_training, tmp_path):
    _, points = trained(tiny_training(steps=60, curve_every=20, lr=0.01), tmp_path / "ckpt")
    assert points[-1].loss < points[1].loss


def test_targets_that_do_not_exist_are_an_error(tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path):
    config = tiny_training(targets=("to_nowhere",))
    with pytest.raises(ModelError, match=r"train\.targets: .*to_nowhere.*; name layers that this family has"):
        stage.run(config, base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_digest_of_a_checkpoint_sees_settings_and_files(tiny_training, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
        (folder / "file").write_bytes(b"1")
    digest = stage.digest(tiny_training(), *folders)
    assert len(digest) == 32
    assert stage.digest(tiny_training(), *folders) == digest
    assert stage.digest(tiny_training(seed=4), *folders) != digest
    assert stage.digest(tiny_training(lr=0.06), *folders) != digest
    (folders[2] / "file").write_bytes(b"2")
    assert stage.digest(tiny_training(), *folders) != digest


def test_what_no_step_saw_is_listed_with_its_reason(tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path):
    config = tiny_training(steps=1, batch=2, prior_share=0.5)
    report = stage.run(config, base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path)
    missed = tables.read(tmp_path, Failure)
    assert report["unseen"] == len(missed) == 5  # of seven
    assert {row.reason for row in missed} == {"1 steps end before a whole pass"}


def test_a_prior_that_weighs_nothing_teaches_nothing(trained, tiny_training, tmp_path):
    half, none = (trained(tiny_training(prior_weight=weight), tmp_path / f"{weight}.ckpt")[0] for weight in (0.5, 0.0))
    assert half != none
