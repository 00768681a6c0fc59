import ast
from pathlib import Path

import pytest
import torch

from stages import families
from stages.train import module, optimisers
from stages.train.descent import Descent, Rates, Schedule
from stages.train.loading import Batch
from stages.train.module import Adaptation, Optimisation, step_seed

SOURCE = Path(module.__file__)


@pytest.fixture
def plain_descent():
    adamw = optimisers.build({"name": "adamw", "betas": [0.9, 0.99], "weight_decay": 0.0})
    schedule = Schedule(kind="constant", warmup=0, floor=0.0, cycles=1, power=1.0)
    return Descent(optimiser=adamw, schedule=schedule, rates=Rates(lr=0.01, text_lr=0.01, b_ratio=1.0), steps=100)


@pytest.fixture
def adaptation(tiny_base, plain_descent, tiny_noise, tiny_adapter):
    def build(**others):
        how = {"clip": 1.0, "caption_dropout": 0.0, "noise": tiny_noise(), "ema_decay": 0.0}
        family = families.build("tiny", tiny_base)
        torch.manual_seed(0)
        family.add_adapter(tiny_adapter(targets=("to_q", "conv1")))
        empty = {name: value[0] for name, value in family.encode_prompts([""]).items()}
        return Adaptation(family, Optimisation(**(how | others)), plain_descent, empty=empty, seed=0)

    return build


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    latents_BCHW = torch.randn(8, 4, 8, 8, generator=generator)
    return Batch(latents_BCHW, {"tokens": torch.randn(8, 8, 16, generator=generator)}, [""] * 8)


def louder(batch):
    return batch._replace(conditions={name: value + 5 for name, value in batch.conditions.items()})


def test_the_module_fits_a_page_and_knows_no_family():
    text = SOURCE.read_text()
    assert len(text.splitlines()) < 200
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {f"{getattr(node, 'module', '')}.{alias.name}" for node in imported for alias in node.names}
    assert "stages.families.Family" in names
    assert not [name for name in names if name.startswith("stages.families.") and name != "stages.families.Family"]
    assert not [name for name in names if "diffusers" in name or "peft" in name]


def test_the_optimizer_holds_the_adapter_alone(adaptation):
    one = adaptation()
    held = {id(weight) for group in one.configure_optimizers()["optimizer"].param_groups for weight in group["params"]}
    adapter = {id(weight) for name, weight in one.networks["unet"].named_parameters() if "lora_" in name}
    assert held == adapter


def test_the_loss_is_the_weighted_error_at_stratified_timesteps(adaptation, batch, tiny_noise):
    from stages import denoising

    one = adaptation()
    torch.manual_seed(3)
    loss = one.training_step(batch, 0)
    torch.manual_seed(3)
    noise = torch.randn_like(batch.latents_BCHW)
    timesteps = one.family.process.levels(denoising.stratified(8)[torch.randperm(8)], (8, 8))
    errors = denoising.squared_error(one.family, batch.latents_BCHW, batch.conditions, noise, timesteps)
    torch.testing.assert_close(loss, (errors * one.family.process.weight(timesteps, tiny_noise().weighting)).mean())


def test_a_dropped_caption_is_the_empty_one(adaptation, batch):
    """With nearly all captions dropped, other captions give the same loss."""
    one = adaptation(caption_dropout=0.9999)
    torch.manual_seed(3)
    loss = one.training_step(batch, 0)
    torch.manual_seed(3)
    assert torch.equal(loss, one.training_step(louder(batch), 0))
    undropped, empties = adaptation(), {"tokens": one.get_buffer("empty_tokens").expand(8, -1, -1)}
    torch.manual_seed(3)
    assert torch.equal(loss, undropped.training_step(batch._replace(conditions=empties), 0))


def test_without_dropout_captions_count(adaptation, batch):
    one = adaptation()
    torch.manual_seed(3)
    loss = one.training_step(batch, 0)
    torch.manual_seed(3)
    assert not torch.equal(loss, one.training_step(louder(batch), 0))


def test_a_checkpoint_holds_the_adapter_and_not_the_base(adaptation):
    one = adaptation()
    checkpoint = {"state_dict": one.state_dict()}
    one.on_save_checkpoint(checkpoint)
    assert checkpoint["state_dict"]
    assert all("lora_" in name for name in checkpoint["state_dict"])
    assert not any("empty_" in name for name in checkpoint["state_dict"])


def test_the_average_is_what_is_kept_at_the_end(adaptation):
    one = adaptation(ema_decay=0.5)
    weights = one.weights()
    one._average = [torch.full_like(weight, 2.0) for weight in weights]
    one.on_train_end()
    assert all((weight == 2.0).all() for weight in weights)


def test_what_would_be_kept_is_in_place_for_a_block_and_then_what_is_learned_with(adaptation):
    one = adaptation(ema_decay=0.5)
    before = [weight.detach().clone() for weight in one.weights()]
    one._average = [torch.full_like(weight, 2.0) for weight in before]
    with one.kept():
        assert all((weight == 2.0).all() for weight in one.weights())
    assert all(torch.equal(weight, old) for weight, old in zip(one.weights(), before, strict=True))


def test_without_an_average_the_last_weights_are_kept(adaptation):
    one = adaptation()
    before = [weight.detach().clone() for weight in one.weights()]
    one.on_train_end()
    assert all(torch.equal(weight, old) for weight, old in zip(one.weights(), before, strict=True))


def test_every_step_has_a_seed_of_its_own():
    seeds = {step_seed(seed, step) for seed in range(3) for step in range(1000)}
    assert len(seeds) == 3000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_first_and_the_last_picture_of_a_batch_meet_the_noisiest_timesteps_alike(adaptation, batch):
    """A batch is subject first and prior last: timesteps in their order would keep the subject from the noisiest."""
    one, met = adaptation(), []
    process = one.family.process
    corrupt = process.corrupt
    process.corrupt = lambda latents, noise, timesteps: met.append(timesteps) or corrupt(latents, noise, timesteps)
    for step in range(60):
        torch.manual_seed(step)
        one.training_step(batch, 0)
    timesteps = torch.stack(met)
    assert (timesteps.sort(dim=1).values // 125 == torch.arange(8)).all()  # still one of each part
    for place in (0, 7):
        assert timesteps[:, place].min() < 125
        assert timesteps[:, place].max() >= 875
