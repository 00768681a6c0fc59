"""What looks at a training: figures, pictures, live curves, the line of progress. None may change it."""

import contextlib
import io
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from stages import families, machine, tables, trainings
from stages.images import decode
from stages.records import Point, Sample
from stages.train import live, stage
from stages.train.curves import Curves
from stages.train.figures import Figures
from stages.train.live import Live
from stages.train.pictures import Pictures, prompts_of
from stages.train.progress import Progress


class Follower:
    """Stands for the process that carries the lines to MLflow."""

    def __init__(self, exitcode=0):
        self.exitcode, self.killed = exitcode, False

    def join(self, timeout):
        self.waited = timeout

    def kill(self):
        self.killed = True


@pytest.fixture
def follower(monkeypatch):
    """What was asked of the process that carries the lines to MLflow, and the lines."""
    told = SimpleNamespace(process=Follower(), started=[], lines=[])

    def join(timeout):
        told.lines += [json.loads(line) for line in told.started[-1][0].read_text().splitlines()]

    def start(*how):
        told.started.append(how)
        how[0].with_suffix(".log").write_text("what MLflow says")
        return told.process

    told.process.join = join
    monkeypatch.setenv("DARKROOM_LIVE", "1")
    monkeypatch.setattr(trainings, "experiment", lambda: "one")
    monkeypatch.setattr(trainings, "start", start)
    return told


@pytest.fixture
def run(tiny_base, tiny_prepared, tiny_encoded, tmp_path):
    """Run the stage; gives what it leaves, by name."""

    def train(config, name="out"):
        stage.run(config, base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path / name)
        out = tmp_path / name
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    return train


def test_pictures_and_live_curves_change_nothing_of_the_training(run, tiny_training, tiny_trained, follower):
    found = run(tiny_training(every=3))
    for name in (stage.ADAPTER, "point.jsonl"):
        assert found[name] == (tiny_trained / name).read_bytes()
    assert follower.lines


def test_pictures_are_drawn_before_the_first_step_and_every_few_and_are_always_the_same(run, tiny_training):
    found = run(tiny_training(every=6))
    pictures = {name: png for name, png in found.items() if name.startswith("samples/")}
    assert sorted(pictures) == [f"samples/{step:08d}-0-{seed}.png" for step in (0, 6, 12) for seed in (1, 2)]
    assert {decode(png).shape for png in pictures.values()} == {(16, 16, 3)}
    assert len(set(pictures.values())) == 6
    assert not list(machine.cache("train").iterdir())
    assert run(tiny_training(every=6), "again") == found


def test_pictures_show_the_network_without_dropout_and_leave_it_learning(tiny_base, tiny_training, tmp_path):
    config = tiny_training(every=1, dropout=0.9)
    family = families.build("tiny", tiny_base)
    stage.add_adapter(family, config)
    for weight in family.denoiser.parameters():
        if weight.requires_grad:
            weight.data.normal_(0, 0.3)
    drawn = Pictures(family, config.samples, tmp_path, prompts=["a cat"], show=lambda *_: None)
    family.denoiser.train()
    before = torch.random.get_rng_state()
    one, other = drawn._drawn(), drawn._drawn()
    assert (one == other).all()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert family.denoiser.training


def trainer_at(step, **others):
    strategy = SimpleNamespace(broadcast=lambda value: value, reduce=lambda value, **_: value, root_device="cpu")
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    values = {"global_step": step, "strategy": strategy, "is_global_zero": True, "optimizers": [optimizer]}
    values["lightning_module"] = SimpleNamespace(kept=contextlib.nullcontext)
    return SimpleNamespace(**(values | {"callbacks": [], "accumulate_grad_batches": 1} | others))


def test_a_training_that_goes_on_keeps_and_shows_the_pictures_drawn_before(tiny_training, tmp_path):
    shown, made = [], []
    family = SimpleNamespace(
        networks={}, generate=lambda *_, **__: made.append(1) or torch.zeros(2, 8, 8, 3).byte().numpy()
    )
    for start in (0, 6):  # stopped behind step 3 and, as its checkpoint was of step 6, not at all
        pictures = Pictures(
            family,
            tiny_training(every=3).samples,
            tmp_path,
            prompts=["a"],
            show=lambda step, files: shown.append((step, len(files))),
        )
        pictures.on_train_start(trainer_at(start), None)
        for step in (start + 1, start + 3, start + 3):  # two batches of one step
            pictures.on_train_batch_end(trainer_at(step))
    assert shown == [(0, 2), (3, 2), (0, 2), (3, 2), (6, 2), (9, 2)]
    assert len(made) == 4


def test_prompts_are_the_given_ones_or_the_words_of_a_held_out_picture(tiny_training, tiny_prepared):
    samples = tables.read(tiny_prepared, Sample)
    heldout = [each.text for each in samples if each.split == "heldout" and each.role == "subject"]
    assert prompts_of(tiny_training().samples, samples) == heldout[:1]
    assert prompts_of(tiny_training(prompts=("one", "two")).samples, samples) == ["one", "two"]
    assert prompts_of(tiny_training().samples, []) == []


def test_what_there_is_to_see_is_written_down_as_it_comes(run, tiny_training, follower):
    points = [json.loads(line) for line in run(tiny_training(every=6))["point.jsonl"].splitlines()]
    ((spool, experiment, _),) = follower.started
    assert experiment == "one"
    numbers = {
        (line["step"], name): value for line in follower.lines for name, value in line.get("numbers", {}).items()
    }
    for point in points[1:]:
        assert numbers[point["step"], "curve/loss"] == point["loss"]
        assert numbers[point["step"], "curve/heldout_loss"] == point["heldout_loss"]
    assert (0, "curve/loss") not in numbers
    assert (0, "curve/heldout_loss") in numbers
    assert [step for step, name in numbers if name == "live/loss"] == list(range(1, 13))
    pictures = [(line["step"], name) for line in follower.lines for name in line.get("pictures", {})]
    assert pictures == [(step, f"samples/0-{seed}") for step in (0, 6, 12) for seed in (1, 2)]
    assert {name for _, name in numbers if name.startswith("machine/")} == {
        f"machine/{name}" for name in ("seconds", "step_seconds", "samples_per_second", "peak_gigabytes")
    }
    assert follower.lines[-1] == {"step": 0, "ended": "FINISHED"}
    assert not list(spool.parent.iterdir())
    remembered, figures = trainings.recall(spool.parent / "nothing")
    assert (remembered, figures) == ("", {})


def test_the_training_is_remembered_by_what_it_left(run, tiny_training, follower, tmp_path):
    run(tiny_training())
    training, figures = trainings.recall(tmp_path / "out")
    assert training == follower.started[0][2]
    assert figures["seconds"] > 0
    (tmp_path / "out" / "point.jsonl").write_text("")
    assert trainings.recall(tmp_path / "out") == ("", {})


def test_a_log_that_cannot_be_reached_is_a_warning_and_not_waited_for(run, tiny_training, follower, caplog):
    follower.process.exitcode = None
    found = run(tiny_training())
    assert stage.ADAPTER in found
    assert "the curves have not reached MLflow" in caplog.text
    assert follower.process.killed


@pytest.mark.parametrize(("error", "how"), [(KeyboardInterrupt(), "KILLED"), (ValueError(), "FAILED")])
def test_a_training_that_is_broken_off_says_so(follower, tmp_path, error, how):
    curves = Curves(lambda: {"subject": 0.5, "prior": None}, every=5, steps=10)
    shown = Live(Figures(batch=1), tmp_path / "a.jsonl", training="t", steps=10)
    shown.on_exception(trainer_at(0), None, error)  # before it began there is nobody to tell
    shown.on_train_start(trainer_at(0, callbacks=[curves]), None)
    shown.on_exception(trainer_at(3), None, error)
    assert [line.get("ended") for line in follower.lines] == [how]


def test_a_long_training_shows_a_few_hundred_points(follower, tmp_path):
    curves = Curves(lambda: {"subject": 0.5, "prior": None}, every=10**6, steps=50_000)
    shown = Live(Figures(batch=1), tmp_path / "a.jsonl", training="t", steps=50_000)
    shown.on_train_start(trainer_at(0, callbacks=[curves]), None)
    for step in range(1, 2_001):
        shown.on_train_batch_end(trainer_at(step))
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2_000 // 250


def test_only_the_first_process_is_live(follower, tmp_path):
    shown = Live(Figures(batch=1), tmp_path / "a.jsonl", training="t", steps=10)
    shown.on_train_start(trainer_at(0, is_global_zero=False), None)
    shown.on_train_batch_end(trainer_at(1))
    shown.add_pictures(1, {})
    shown.on_train_end(trainer_at(1), None)
    assert not follower.started
    assert not list(tmp_path.iterdir())


def test_nobody_is_told_without_a_pipeline_or_when_it_is_not_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DARKROOM_LIVE", "1")
    assert not live.wanted()
    (tmp_path / "params.yaml").write_text("track: {experiment: one}")
    assert live.wanted()
    monkeypatch.setenv("DARKROOM_LIVE", "0")
    assert not live.wanted()


def test_figures_count_the_time_of_earlier_parts_and_the_median_step(monkeypatch):
    now = iter([100.0, 101.0, 102.0, 112.0, 113.0, 115.0])
    monkeypatch.setattr("stages.train.figures.time", SimpleNamespace(monotonic=lambda: next(now)))
    figures = Figures(batch=8)
    figures.load_state_dict({"seconds": 50.0, "peak": 1000.0})
    figures.on_train_start(trainer_at(4), None)
    for step in (5, 6, 6, 7, 8):  # two batches make step 6; step 7 took ten seconds
        figures.on_train_batch_end(trainer_at(step))
    figures.on_train_end(trainer_at(8), None)
    assert figures.taken() == {
        "seconds": 50.0 + 15.0,
        "step_seconds": 1.0,
        "samples_per_second": 8.0,
        "peak_gigabytes": 1000.0,
    }


def test_figures_of_a_training_without_a_step_are_numbers():
    assert Figures(batch=8).taken() == {
        "seconds": 0.0,
        "step_seconds": 0.0,
        "samples_per_second": 0.0,
        "peak_gigabytes": 0.0,
    }
    assert Figures(batch=8).state_dict()["peak"] > 0.05  # an interpreter with torch


@pytest.mark.parametrize("rank_zero", [True, False])
def test_the_line_of_progress_fits_80_columns(monkeypatch, rank_zero):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (80, 25))
    curves = Curves(lambda: {"subject": 0.5194, "prior": None}, every=100, steps=100_000)
    curves.points = [Point(id="0", step=0, loss=0.0, rate=0.0, heldout_loss=0.5194, prior_loss=None)]
    progress = Progress(curves, steps=100_000)
    progress.on_train_start(trainer_at(40_000, is_global_zero=rank_zero), None)
    for step in range(40_005, 40_030, 5):
        progress.on_train_batch_end(trainer_at(step), None, None)
    if progress._bar.disable:
        assert not rank_zero
        return
    progress._bar.start_t -= 3600  # at seven steps a second
    progress._bar.last_print_n, progress._bar.n = 40_000, 65_025
    progress._bar.refresh()
    line = terminal.getvalue().split("\r")[-1]
    progress.on_train_end(trainer_at(40_030), None)
    assert len(line) <= 80
    for part in ("train |", " 65025/100000 ", "6.95it/s, loss 0.000, held-out 0.519, 1:23:5", " left"):
        assert part in line


def test_losses_of_several_batches_of_a_step_are_one_point():
    curves = Curves(lambda: {"subject": 0.5, "prior": None}, every=1, steps=2)
    curves.on_train_start(trainer_at(0), None)
    for step, loss in ((0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)):
        given = {"loss": torch.tensor(loss / 2)}  # Lightning divides by the number of batches
        curves.on_train_batch_end(trainer_at(step, accumulate_grad_batches=2), None, given)
    assert [(point.step, point.loss) for point in curves.points] == [(0, 0.0), (1, 1.5), (2, 3.5)]


def test_a_training_that_ends_early_has_a_last_point():
    curves = Curves(lambda: {"subject": 0.5, "prior": None}, every=5, steps=10)
    curves.on_train_start(trainer_at(0), None)
    for step in range(1, 8):
        curves.on_train_batch_end(trainer_at(step), None, {"loss": torch.tensor(float(step))})
    curves.on_train_end(trainer_at(7), None)
    curves.on_train_end(trainer_at(7), None)
    assert [(point.step, point.loss) for point in curves.points] == [(0, 0.0), (5, 3.0), (7, 6.5)]


def test_the_family_of_the_default_draws_and_a_large_one_does_not():
    import yaml

    from stages import params

    every = [yaml.safe_load(params.composed(how))["train"]["samples"]["every"] for how in ([], ["family=sdxl"])]
    assert every == [150, 0]
