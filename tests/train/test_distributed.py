import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import TypeAdapter

from stages import adapters, machine, tables
from stages.errors import ConfigError, DarkroomError
from stages.records import Point
from stages.train import distributed, stage, trainer

ROOT = Path(__file__).parents[2]
RANKS = 2

# What each of the two processes runs: a whole training, one that is broken off and goes on, one with the base shared out.
TOGETHER = """
import json, sys
from pathlib import Path

import lightning
from pydantic import TypeAdapter
from torch.distributed.tensor import DTensor

from stages import embeddings, families, machine, tables
from stages.errors import DarkroomError
from stages.records import Point, Sample
from stages.train import stage

base, prepared, encoded, out = map(Path, sys.argv[1:5])
rank = int(sys.argv[5])
machine.use_threads(1)
samples, known = tables.read(prepared, Sample), embeddings.read(encoded)


class Witness(lightning.Callback):
    def __init__(self, stop):
        self.stop, self.seen = stop, []

    def on_train_batch_start(self, trainer, module, batch, _):
        self.seen.append([float(picture.sum()) for picture in batch.latents_BCHW])

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.stop:
            raise DarkroomError("stopped")


def train(name, config, *, stop=0, checkpoint=None):
    family = families.build("tiny", base)
    stage.add_adapter(family, config)
    witness, points = Witness(stop), None
    try:
        points = stage.fit(family, config, samples, known, checkpoint or out / f"{name}.ckpt", [witness])
    except (DarkroomError, SystemExit):
        pass
    shared = sum(isinstance(weight, DTensor) for weight in family.denoiser.parameters())
    (out / f"{name}-{rank}.json").write_text(json.dumps({"seen": witness.seen, "shared": shared}))
    if points is not None:
        family.save_adapter(out / name / "adapter.safetensors")
        tables.write(out / name, Point, points)


configs = {name: TypeAdapter(stage.Config).validate_json(text) for name, text in json.loads(sys.argv[6]).items()}
train("whole", configs["ddp"])
train("broken", configs["ddp"], stop=9)
train("resumed", configs["ddp"], checkpoint=out / "broken.ckpt")
train("sharded", configs["fsdp"])
"""


def as_json(config):
    return TypeAdapter(stage.Config).dump_json(config).decode()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def together(tmp_path_factory, tiny_base, tiny_prepared, tiny_encoded, tiny_training, session_cache):
    """What two processes leave that somebody else started, as ``torchrun`` does."""
    out = tmp_path_factory.mktemp("together")
    (out / "script.py").write_text(TOGETHER)
    how = {"devices": RANKS, "dropout": 0.1, "ema_decay": 0.9}
    configs = json.dumps({name: as_json(tiny_training(strategy=name, **how)) for name in ("ddp", "fsdp")})
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(RANKS), "GROUP_RANK": "0"}
    world |= {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": str(RANKS), "PYTHONPATH": str(ROOT)}
    given = [str(out / "script.py"), str(tiny_base), str(tiny_prepared), str(tiny_encoded), str(out)]
    started = [
        subprocess.Popen(
            [sys.executable, *given, str(rank), configs],
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    said = [each.communicate(timeout=300)[1] for each in started]
    assert [each.returncode for each in started] == [0] * RANKS, said
    return out


def told(folder, name):
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in range(RANKS)]


@pytest.fixture(scope="module")
def alone(tiny_base, tiny_prepared, tiny_encoded, tiny_training, session_cache, tmp_path_factory):
    """The points of one process that trains by the same settings as the command line below."""
    out = tmp_path_factory.mktemp("alone")
    stage.run(tiny_training(), base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=out)
    return tables.read(out, Point)


def losses(points):
    return [value for point in points for value in (point.loss, point.heldout_loss, point.prior_loss)]


@pytest.mark.slow
def test_two_processes_see_together_what_one_sees_and_none_sees_a_picture_of_the_other(
    together, tiny_prepared, tiny_encoded, tiny_training
):
    from stages import embeddings
    from stages.records import Sample
    from stages.train.batches import Batches

    samples, known = tables.read(tiny_prepared, Sample), embeddings.read(tiny_encoded)
    plan = stage._plan(samples, tiny_training())
    whole = [[float(known.of(plan.samples[index])[0].sum()) for index in batch] for batch in Batches(plan)]
    one, other = (each["seen"] for each in told(together, "whole"))
    assert len(one) == len(other) == len(whole) == 12
    for mine, theirs, both in zip(one, other, whole, strict=True):
        assert len(mine) == len(theirs) == 2
        assert sorted(mine + theirs) == pytest.approx(sorted(both))


@pytest.mark.slow
def test_two_processes_that_were_broken_off_end_as_undisturbed_ones(together):
    assert (together / "broken.ckpt").is_file()
    assert not (together / "broken").exists()
    assert len(told(together, "resumed")[0]["seen"]) == 12 - 8
    for name in ("adapter.safetensors", "point.jsonl"):
        assert (together / "resumed" / name).read_bytes() == (together / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_base_that_is_shared_out_gives_the_same_adapter(together):
    from safetensors.torch import load_file

    assert [each["shared"] > 100 for each in told(together, "sharded")] == [True] * RANKS
    assert [each["shared"] for each in told(together, "whole")] == [0] * RANKS
    one, other = (load_file(together / name / "adapter.safetensors") for name in ("whole", "sharded"))
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert weight.sub(other[name]).abs().max() < 1e-3, name
    assert losses(tables.read(together / "sharded", Point)) == pytest.approx(
        losses(tables.read(together / "whole", Point)), abs=1e-4
    )


@pytest.mark.slow
def test_the_command_line_starts_the_second_process_and_the_first_alone_writes(
    alone, tiny_base, tiny_prepared, tiny_encoded, tiny_training, tmp_path
):
    values = json.loads(as_json(tiny_training(devices=RANKS)))
    (tmp_path / "params.yaml").write_text(json.dumps({"train": values}))
    command = [sys.executable, "-m", "stages", "train", "--base", tiny_base, "--prepared", tiny_prepared]
    command += ["--encoded", tiny_encoded, "--out", "out", "--report", "report.json"]
    environment = {name: value for name, value in os.environ.items() if name not in {"LOCAL_RANK", "NODE_RANK"}}
    environment |= {"PYTHONPATH": str(ROOT), "DARKROOM_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split(":")[0] for line in done.stderr.splitlines()]
    assert said == ["train", "train"]  # once: what it took, and what came of it
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [stage.ADAPTER, "failure.jsonl", "point.jsonl"]
    assert not list((tmp_path / "cache" / "train").iterdir())
    points = tables.read(tmp_path / "out", Point)
    assert [point.step for point in points] == [point.step for point in alone]
    assert losses(points) == pytest.approx(losses(alone), abs=1e-5)


def started(code):
    return subprocess.Popen([sys.executable, "-c", code])


def a_trainer(*others, interrupted=True, rank=0):
    launcher = SimpleNamespace(procs=list(others))
    return SimpleNamespace(strategy=SimpleNamespace(launcher=launcher), interrupted=interrupted, global_rank=rank)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit(3)", r"the process of rank 1 ended with code 3, and says above why"),
        ("import os; os.kill(os.getpid(), 9)", r"the process of rank 1 was killed by signal 9; put that right"),
    ],
)
def test_a_process_that_died_ends_the_training_with_its_name(code, message):
    other, living = started(code), started("import time; time.sleep(60)")
    with pytest.raises(DarkroomError, match=message), distributed.together(a_trainer(other, living)):
        raise RuntimeError("connection closed by peer")
    assert living.wait(timeout=10) == -9


def test_an_error_of_our_own_comes_out_and_ends_the_others(monkeypatch):
    monkeypatch.setattr(distributed, "GRACE", 0.2)
    for error in (RuntimeError("ours"), ConfigError("ours"), KeyboardInterrupt("ours")):
        living = started("import time; time.sleep(60)")
        begun = time.monotonic()
        with pytest.raises(type(error), match="ours"), distributed.together(a_trainer(living)):
            raise error
        assert living.wait(timeout=10) == -9
        assert time.monotonic() - begun < 10


def test_only_the_first_process_comes_out_of_training():
    with distributed.together(a_trainer(interrupted=False)):
        pass
    with pytest.raises(SystemExit) as ended, distributed.together(a_trainer(interrupted=False, rank=1)):
        pass
    assert ended.value.code == 0


def test_processes_that_see_different_checkpoints_do_not_train():
    strategy = SimpleNamespace(broadcast=lambda _: 8)
    one = SimpleNamespace(strategy=strategy, global_step=0, global_rank=1)
    with pytest.raises(DarkroomError, match=r"rank 1 would begin at step 0 and rank 0 at step 8; .*DARKROOM_CACHE"):
        distributed.OneStart().on_train_start(one, None)
    one.global_step = 8
    distributed.OneStart().on_train_start(one, None)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            {"devices": 3},
            r"train\.batch: 4 .* 3 processes \(train\.trainer: devices 3, num_nodes 1\); .* multiple of 3",
        ),
        ({"devices": 2, "num_nodes": 3}, r"among 6 processes"),
        ({"strategy": "fsdp"}, r"fsdp has nobody to share with; give auto"),
        ({"precision": "16-mixed"}, r"16-mixed needs a GPU"),
    ],
)
def test_what_this_machine_or_batch_cannot_do_is_refused(tiny_training, others, message):
    config = tiny_training(**others)
    with pytest.raises(ConfigError, match=message):
        trainer.refuse_unfit(config.trainer, batch=config.batch, base="fp32")


def test_a_quantised_base_is_not_shared_out(tiny_training):
    wanted = tiny_training(devices=2, strategy="fsdp").trainer
    trainer.refuse_unfit(wanted, batch=4, base="fp32")
    with pytest.raises(ConfigError, match="fsdp cannot share out a quantised base; give ddp"):
        trainer.refuse_unfit(wanted, batch=4, base="nf4")


def test_over_a_base_of_fp16_the_loss_must_be_scaled(tiny_training, monkeypatch):
    with pytest.raises(ConfigError, match=r"family\.precision: over a base of fp16 small gradients become 0"):
        trainer.refuse_unfit(tiny_training().trainer, batch=4, base="fp16")
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    trainer.refuse_unfit(tiny_training(precision="16-mixed").trainer, batch=4, base="fp16")


@pytest.mark.parametrize(
    ("others", "idle"),
    [
        ({}, False),
        ({"dropout": 0.1}, False),
        ({"text_targets": ("q_proj",)}, True),
        ({"adapter": {"name": "loha", "effective_conv2d": False}}, False),
        ({"adapter": {"name": "loha", "effective_conv2d": False}, "dropout": 0.1}, True),
    ],
)
def test_processes_do_not_wait_for_gradients_that_may_not_come(tiny_training, others, idle):
    config = tiny_training(devices=2, **others)
    assert adapters.may_idle(stage.wanted(config)) == idle
    built = trainer.build([], config.trainer, steps=1, accumulate=1, clip=1.0, idle=idle)
    assert built.strategy._ddp_kwargs.get("find_unused_parameters", False) == idle


def test_more_gpus_than_there_are_is_refused(tiny_training, monkeypatch):
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    with pytest.raises(ConfigError, match=r"train\.trainer\.devices: 2, and this machine has 0; give no more"):
        trainer.refuse_unfit(tiny_training(devices=2).trainer, batch=4, base="fp32")


def test_an_unfit_batch_is_refused_before_anything_is_loaded(
    tiny_training, tiny_prepared, tiny_encoded, tiny_base, tmp_path
):
    with pytest.raises(ConfigError, match="cannot be shared out evenly"):
        stage.run(
            tiny_training(devices=3), base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
