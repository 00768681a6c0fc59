"""From plan to tensors: what stands where, and that readers ahead change nothing."""

import dataclasses

import pytest
import torch

from stages import embeddings, tables
from stages.records import Sample
from stages.train.batches import Batches, Plan
from stages.train.loading import Places, loader, shared


@pytest.fixture
def known(tiny_encoded):
    return embeddings.read(tiny_encoded)


@pytest.fixture
def plan(tiny_prepared):
    samples = [sample for sample in tables.read(tiny_prepared, Sample) if sample.split == "train"]
    return Plan(samples=samples, size=4, prior_share=0.5, steps=6, seed=3)


def told(batches):
    """Batches without the tensors' identity, which ``==`` would ask for."""
    return [
        [(name, each.tolist()) if isinstance(each, torch.Tensor) else each for name, each in flat(batch)]
        for batch in batches
    ]


def flat(batch):
    values = batch._asdict()
    return [*values.pop("conditions").items(), *values.items()]


def test_a_batch_holds_what_its_samples_have(plan, known):
    order = list(Batches(plan))
    for step, batch in enumerate(loader(plan, known, start=0, prior_weight=0.25)):
        chosen = [plan.samples[index] for index in order[step]]
        assert (batch.step, batch.size, batch.places) == (step, 4, [0, 1, 2, 3])
        assert batch.texts == [sample.text for sample in chosen]
        assert batch.weight_B.tolist() == [1.0 if sample.role == "subject" else 0.25 for sample in chosen]
        for place, sample in enumerate(chosen):
            latents, conditions = known.of(sample)
            assert torch.equal(batch.latents_BCHW[place], latents)
            assert torch.equal(batch.conditions["tokens"][place], conditions["tokens"])
        assert torch.equal(batch.mask_BHW, torch.ones(4, 8, 8))
    assert step == 5


def test_a_mask_stands_beside_its_picture(plan, known):
    marked = plan.samples[2].id
    masked = dataclasses.replace(known, masks={marked: torch.full((8, 8), 0.5)})
    masks = {
        plan.samples[index].id: mask.mean().item()
        for batch, order in zip(loader(plan, masked, start=0), Batches(plan), strict=True)
        for index, mask in zip(order, batch.mask_BHW, strict=True)
    }
    assert {id: mean for id, mean in masks.items() if mean != 1} == {marked: 0.5}


def test_it_may_begin_on_the_way(plan, known):
    whole = told(loader(plan, known, start=0))
    assert told(loader(plan, known, start=4)) == whole[4:]
    assert len(loader(plan, known, start=4)) == 6


@pytest.mark.parametrize("start", [0, 3])
def test_ranks_and_portions_have_the_places_of_the_whole(plan, known, start):
    whole = {
        (batch.step, place): text
        for batch in loader(plan, known, start=0)
        for place, text in zip(batch.places, batch.texts, strict=True)
        if batch.step >= start
    }
    found = {}
    for rank in range(2):
        places = Places(Batches(plan, start=start, rank=rank, ranks=2, portions=2), start=start)
        assert len(places) == 12
        for batch in shared(plan, known, places, prior_weight=1.0):
            assert (batch.size, len(batch.texts)) == (4, 1)
            found |= {(batch.step, place): text for place, text in zip(batch.places, batch.texts, strict=True)}
    assert found == whole


def test_readers_ahead_change_nothing(plan, known, monkeypatch):
    alone = told(loader(plan, known, start=1))
    monkeypatch.setenv("DARKROOM_LOADERS", "2")
    torch.rand(3)
    before = torch.random.get_rng_state()
    ahead = loader(plan, known, start=1)
    assert ahead.num_workers == 2
    assert told(ahead) == alone
    assert torch.equal(torch.random.get_rng_state(), before)
