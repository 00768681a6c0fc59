import math
from functools import partial

import pytest
import torch

from stages import families, machine
from stages.errors import ConfigError
from stages.train import descent, networks, optimisers
from stages.train.descent import Descent, Rates
from stages.train.optimisers import adamw8bit
from stages.train.settings import Schedule

ADAMW = {"name": "adamw", "betas": [0.9, 0.99], "weight_decay": 0.0}
PRODIGY = {"name": "prodigy", "betas": [0.9, 0.99], "weight_decay": 0.01, "d0": 1e-6, "d_coef": 1.0}
FREE = {"name": "schedule_free", "betas": [0.9, 0.99], "weight_decay": 0.0}
MUON = {"name": "muon", "momentum": 0.95, "betas": [0.9, 0.99], "weight_decay": 0.0}
ADAFACTOR = {"name": "adafactor", "min_scale": 1.0, "clip": 1.0, "beta2_decay": -0.8, "weight_decay": 0.0}


def schedule(kind="cosine", **others):
    return Schedule(**({"kind": kind, "warmup": 0, "floor": 0.0, "cycles": 1, "power": 1.0} | others))


def shares(steps, **others):
    return [descent.share(schedule(**others), step, steps) for step in range(steps + 1)]


def going(choice, *, kind="constant", lr=0.1, text_lr=0.1, b_ratio=1.0):
    rates = Rates(lr=lr, text_lr=text_lr, b_ratio=b_ratio)
    return Descent(optimiser=optimisers.build(choice), schedule=schedule(kind), rates=rates, steps=10)


def test_the_rate_warms_up_and_falls_to_the_floor():
    found = shares(100, warmup=4, floor=0.02)
    cosine = [0.02 + 0.49 * (1 + math.cos(math.pi * step / 100)) for step in range(101)]
    warm = [0.2, 0.4, 0.6, 0.8, *[1.0] * 97]
    assert found == pytest.approx([share * up for share, up in zip(cosine, warm, strict=True)])
    assert found[50] == pytest.approx(0.51)
    assert descent.share(schedule(floor=0.02), 150, 100) == pytest.approx(0.02)


def test_every_schedule_has_its_curve():
    assert shares(4, kind="constant", warmup=1) == [0.5, 1, 1, 1, 1]
    assert shares(4, kind="linear", floor=0.2) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    assert shares(4, kind="polynomial", power=2.0) == pytest.approx([1, 0.5625, 0.25, 0.0625, 0])
    assert shares(4, kind="polynomial", floor=0.2) == pytest.approx(shares(4, kind="linear", floor=0.2))
    half = [1, 0.5, 1, 0.5, 0]
    assert shares(4, kind="cosine_restarts", cycles=2) == pytest.approx(half)
    assert shares(8, kind="cosine_restarts") == shares(8)


def test_weights_fall_into_groups_of_one_rate(tiny_base, tiny_adapter):
    family = families.build("tiny", tiny_base)
    family.add_adapter(tiny_adapter())
    both = {"unet": family.denoiser, "text_encoder": torch.nn.Linear(2, 2)}
    one = descent.groups(both, Rates(lr=0.1, text_lr=0.1, b_ratio=1.0))
    assert [group["lr"] for group in one] == [0.1]
    weights = [weight for network in both.values() for weight in network.parameters() if weight.requires_grad]
    assert [id(weight) for weight in one[0]["params"]] == [id(weight) for weight in weights]
    several = descent.groups(both, Rates(lr=0.1, text_lr=0.2, b_ratio=16.0))
    assert [group["lr"] for group in several] == pytest.approx([0.1, 1.6, 0.2])
    count = sum("lora_B" in name for name, _ in family.denoiser.named_parameters())
    assert [len(group["params"]) for group in several] == [count, count, 2]


@pytest.mark.parametrize(
    "choice", [ADAMW, PRODIGY | {"d0": 0.01}, FREE, MUON, ADAFACTOR], ids=lambda each: each["name"]
)
def test_every_optimiser_finds_the_bottom_and_goes_on_exactly_from_its_state(choice):
    """From zero, where a LoRA's B begins, of a matrix and of a convolution."""

    def begun():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.Flatten(), torch.nn.Linear(8, 3))
        for weight in network.parameters():
            torch.nn.init.zeros_(weight) if weight.ndim == 4 else torch.nn.init.normal_(weight)
        descending = going(choice, lr=1.0 if choice["name"] == "prodigy" else 0.05).over({"unet": network})
        if hasattr(descending["optimizer"], "train"):
            descending["optimizer"].train()
        return network, descending["optimizer"], descending["lr_scheduler"]["scheduler"]

    def walk(network, optimizer, rule, steps):
        pixels, wanted = torch.ones(4, 2, 2, 2), torch.ones(4, 3)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = (network(pixels) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            rule.step()
        return loss.item()

    whole, halves = begun(), begun()
    first = walk(*whole, 1)
    assert walk(*whole, 39) < first / 10
    walk(*halves, 20)
    again = begun()
    again[0].load_state_dict(halves[0].state_dict())
    again[1].load_state_dict(halves[1].state_dict())
    again[2].load_state_dict(halves[2].state_dict())
    walk(*again, 20)
    assert all(torch.equal(one, other) for one, other in zip(whole[0].parameters(), again[0].parameters(), strict=True))
    assert (whole[0][0].weight != 0).all()


def test_adamw_steps_all_weights_at_once_as_each_by_itself():
    """A resumed training may have begun with the other: they must be the same to the bit."""
    choice = {"name": "adamw", "betas": (0.9, 0.99), "weight_decay": 0.01}
    ends = []
    one_by_one = partial(torch.optim.AdamW, betas=(0.9, 0.99), weight_decay=0.01, foreach=False)
    for make in (one_by_one, optimisers.build(choice).make):
        torch.manual_seed(0)
        weights = [torch.nn.Parameter(torch.randn(4, size)) for size in (1, 7, 64)]
        optimizer = make([{"params": weights, "lr": 1e-3}])
        for _ in range(20):
            for weight in weights:
                weight.grad = torch.randn(weight.shape)
            optimizer.step()
        ends.append(weights)
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_muon_takes_matrices_and_adamw_the_rest():
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.Linear(8, 3))
    optimizer = going(MUON).over({"unet": network})["optimizer"]
    assert [sorted(group) for group in optimizer.param_groups if "momentum" in group]
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    kinds = {name: sorted(optimizer.state[weight]) for name, weight in network.named_parameters()}
    assert kinds["1.weight"] == ["momentum_buffer"]
    assert kinds["0.weight"] == kinds["1.bias"] == ["exp_avg", "exp_avg_sq", "step"]


@pytest.mark.parametrize(
    ("wanted", "ema_decay", "says"),
    [
        ({"choice": PRODIGY, "kind": "cosine_restarts"}, 0.0, "train.schedule.kind: cosine_restarts does not go with"),
        ({"choice": FREE, "kind": "cosine"}, 0.0, r"train.schedule.kind: cosine .*; give one of: constant$"),
        ({"choice": PRODIGY, "b_ratio": 16.0}, 0.0, "train.lora_plus, train.text_lr: .* one rate"),
        ({"choice": PRODIGY, "text_lr": 0.2}, 0.0, "train.lora_plus, train.text_lr: .* one rate"),
        ({"choice": FREE}, 0.9, "train.optimisation.ema_decay: .* an average of its own"),
    ],
)
def test_what_does_not_go_with_an_optimiser_is_refused(wanted, ema_decay, says):
    with pytest.raises(ConfigError, match=says):
        descent.refuse_unfit(going(**wanted), kind="lora", ema_decay=ema_decay)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_an_adapter_without_a_matrix_b_has_no_higher_rate_for_it(kind):
    with pytest.raises(ConfigError, match=f"train.lora_plus: {kind} has no matrix B"):
        descent.refuse_unfit(going(ADAMW, b_ratio=16.0), kind=kind, ema_decay=0.0)
    descent.refuse_unfit(going(ADAMW), kind=kind, ema_decay=0.0)


def test_schedule_free_needs_a_share_of_its_average():
    with pytest.raises(ConfigError, match=r"betas\.0: .*greater than 0"):
        optimisers.build({**FREE, "betas": [0.0, 0.99]})


def test_what_goes_with_an_optimiser_is_not_refused():
    descent.refuse_unfit(going(PRODIGY, kind="cosine"), kind="lora", ema_decay=0.9)
    descent.refuse_unfit(going(FREE, b_ratio=16.0), kind="lora", ema_decay=0.0)
    descent.refuse_unfit(going(ADAMW, kind="cosine_restarts", b_ratio=16.0, text_lr=0.2), kind="lora", ema_decay=0.9)


def test_an_unknown_optimiser_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no part 'adamx'; it has: .*adamw, adamw8bit, muon, prodigy, schedule_free"):
        optimisers.build({"name": "adamx"})


def test_eight_bits_need_a_gpu_and_a_package(monkeypatch):
    eight = ADAMW | {"name": "adamw8bit"}
    with pytest.raises(ConfigError, match=r"needs a GPU, .* choose optimiser=adamw"):
        optimisers.build(eight)
    monkeypatch.setattr(machine, "device", lambda: "cuda")
    monkeypatch.setattr(adamw8bit, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs bitsandbytes; `pip install"):
        optimisers.build(eight)


def test_compiling_needs_a_compiler(monkeypatch, tmp_path):
    networks.refuse_unfit(compile_them=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    networks.refuse_unfit(compile_them=False)
    with pytest.raises(ConfigError, match=r"train\.compile: there is no C\+\+ compiler; install g\+\+, or give false"):
        networks.refuse_unfit(compile_them=True)
    (tmp_path / "g++").touch(mode=0o755)
    networks.refuse_unfit(compile_them=True)
