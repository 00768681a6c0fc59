import ast
import dataclasses
from pathlib import Path

import pytest
import torch

from stages import denoising, families
from stages.train import module, noise, optimisers
from stages.train.descent import Descent, Rates
from stages.train.loading import Batch
from stages.train.module import Adaptation
from stages.train.settings import Optimisation, Schedule

SOURCE = Path(module.__file__)


@pytest.fixture
def plain_descent():
    adamw = optimisers.build({"name": "adamw", "betas": [0.9, 0.99], "weight_decay": 0.0})
    schedule = Schedule(kind="constant", warmup=0, floor=0.0, cycles=1, power=1.0)
    return Descent(optimiser=adamw, schedule=schedule, rates=Rates(lr=0.01, text_lr=0.01, b_ratio=1.0), steps=100)


@pytest.fixture
def adaptation(tiny_base, plain_descent, tiny_noise, tiny_adapter):
    def build(*, text_targets=(), **others):
        how = {"clip": 1.0, "caption_dropout": 0.0, "noise": tiny_noise(), "outside_mask": 0.1, "ema_decay": 0.0}
        family = families.build("tiny", tiny_base)
        torch.manual_seed(0)
        family.add_adapter(tiny_adapter(targets=("to_q", "conv1"), text_targets=text_targets))
        empty = {name: value[0] for name, value in family.encode_prompts([""]).items()}
        return Adaptation(family, Optimisation(**(how | others)), plain_descent, empty=empty, seed=0)

    return build


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    latents_BCHW = torch.randn(8, 4, 8, 8, generator=generator)
    conditions = {"tokens": torch.randn(8, 8, 16, generator=generator)}
    ones = torch.ones(8, 8, 8), torch.ones(8)
    return Batch(latents_BCHW, conditions, [""] * 8, *ones, step=3, size=8, places=list(range(8)))


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
    one = adaptation()
    loss = one.training_step(batch, 0)
    draw = noise.drawn(batch, tiny_noise(), seed=0)
    timesteps = one.family.process.levels(draw.parts_B, (8, 8))
    errors = denoising.squared_error(one.family, batch.latents_BCHW, batch.conditions, draw.eps_BCHW, timesteps)
    weights = one.family.process.weight(timesteps, tiny_noise().weighting)
    torch.testing.assert_close(loss, (errors * weights).mean())
    of_prior = torch.tensor([1.0, 1, 1, 1, 1, 0.5, 0.5, 0])
    weighted = one.training_step(batch._replace(weight_B=of_prior), 0)
    torch.testing.assert_close(weighted, (errors * weights * of_prior).mean())


@pytest.mark.parametrize("others", [{}, {"caption_dropout": 0.5, "outside_mask": 0.0}])
def test_the_portions_of_a_batch_have_the_loss_of_the_whole(adaptation, batch, tiny_noise, others):
    """So ranks and accumulation change the last bits alone."""
    one = adaptation(noise=tiny_noise(offset=0.1, perturbation=0.1), **others)
    batch = batch._replace(mask_BHW=torch.rand(8, 8, 8), weight_B=torch.tensor([1.0, 1, 1, 1, 1, 0.5, 0.5, 0]))
    whole = one.training_step(batch, 0)
    assert not torch.equal(whole, one.training_step(batch._replace(step=4), 0))
    for count in (2, 4, 8):
        losses = [one.training_step(portion(batch, range(at, at + 8 // count)), 0) for at in range(0, 8, 8 // count)]
        torch.testing.assert_close(torch.stack(losses).mean(), whole)


def portion(batch, places):
    some = list(places)
    return batch._replace(
        latents_BCHW=batch.latents_BCHW[some],
        conditions={name: value[some] for name, value in batch.conditions.items()},
        texts=[batch.texts[place] for place in some],
        mask_BHW=batch.mask_BHW[some],
        weight_B=batch.weight_B[some],
        places=some,
    )


def test_outside_its_mask_a_picture_counts_as_told(adaptation, batch):
    """With nothing outside, what the latents are there changes the loss only by what the denoiser sees of it."""
    half = torch.zeros(8, 8, 8)
    half[:, :, :4] = 1
    masked = batch._replace(mask_BHW=half)
    everywhere = adaptation(outside_mask=1.0)
    assert torch.equal(everywhere.training_step(masked, 0), everywhere.training_step(batch, 0))
    left, right = (
        adaptation(outside_mask=0.0).training_step(batch._replace(mask_BHW=mask), 0) for mask in (half, 1 - half)
    )
    torch.testing.assert_close((left + right) / 2, everywhere.training_step(batch, 0))
    assert not torch.isclose(left, right)
    a_tenth = adaptation(outside_mask=0.1).training_step(masked, 0)
    torch.testing.assert_close(a_tenth, (left + 0.1 * right) / 1.1)


def test_text_encoders_that_learn_encode_the_words_anew(adaptation, batch):
    """What was encoded before no longer counts, and dropped captions are empty texts."""
    one = adaptation(text_targets=("q_proj", "v_proj"))
    assert list(one.networks) == ["unet", "text_encoder"]
    with torch.no_grad():  # a fresh LoRA's second matrix is zero, and so is the first one's gradient
        for name, weight in one.networks["text_encoder"].named_parameters():
            weight.add_(0.1 if "lora_B" in name else 0.0)
    losses = {}
    for texts in (["coins"] * 8, ["grass"] * 8, [""] * 8):
        for dropout in (0.0, 0.9999):
            one._settings = dataclasses.replace(one._settings, caption_dropout=dropout)
            torch.manual_seed(3)
            losses[texts[0], dropout] = one.training_step(louder(batch)._replace(texts=texts), 0)
    assert len({loss.item() for loss in losses.values()}) == 3
    assert losses["coins", 0.9999] == losses["grass", 0.9999] == losses["", 0.0]
    losses["coins", 0.0].backward()
    learning = {name for name, weight in one.networks.named_parameters() if weight.grad is not None}
    assert {name.partition(".")[0] for name in learning} == {"unet", "text_encoder"}
    assert all("lora_" in name for name in learning)


def test_a_dropped_caption_is_the_empty_one(adaptation, batch):
    """With nearly all captions dropped, other captions give the same loss."""
    one = adaptation(caption_dropout=0.9999)
    loss = one.training_step(batch, 0)
    assert torch.equal(loss, one.training_step(louder(batch), 0))
    undropped, empties = adaptation(), {"tokens": one.get_buffer("empty_tokens").expand(8, -1, -1)}
    assert torch.equal(loss, undropped.training_step(batch._replace(conditions=empties), 0))


def test_without_dropout_captions_count(adaptation, batch):
    one = adaptation()
    assert not torch.equal(one.training_step(batch, 0), one.training_step(louder(batch), 0))


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


def test_the_first_and_the_last_picture_of_a_batch_meet_the_noisiest_timesteps_alike(adaptation, batch):
    """A batch is subject first and prior last: timesteps in their order would keep the subject from the noisiest."""
    one, met = adaptation(), []
    process = one.family.process
    weight = process.weight
    process.weight = lambda timesteps, weighting: met.append(timesteps) or weight(timesteps, weighting)
    for step in range(60):
        one.training_step(batch._replace(step=step), 0)
    timesteps = torch.stack(met)
    assert (timesteps.sort(dim=1).values // 125 == torch.arange(8)).all()  # still one of each part
    for place in (0, 7):
        assert timesteps[:, place].min() < 125
        assert timesteps[:, place].max() >= 875
