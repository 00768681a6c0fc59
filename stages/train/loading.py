"""From the plan of batches to the tensors of each step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from stages import machine
from stages.embeddings import Embeddings
from stages.train.batches import Batches, Plan


class Batch(NamedTuple):
    """What one step learns from, or one portion of it where gradients are accumulated or shared by ranks."""

    latents_BCHW: Tensor
    conditions: Mapping[str, Tensor]  # as ``encode`` left them
    texts: list[str]  # which the conditions were made of
    mask_BHW: Tensor  # float of 0 to 1, in the latents' size: how much of each place is the subject; 1 without a mask
    weight_B: Tensor  # float: how much each picture's error counts
    step: int  # which of the plan's it is
    size: int  # pictures of the whole batch of the step
    places: list[int]  # where in the whole batch each picture stands


class Place(NamedTuple):
    """One place of a batch, and which sample stands there."""

    step: int
    size: int  # of the whole batch
    place: int  # in the whole batch
    sample: int  # its number in the plan


class Examples(Dataset[tuple[Place, tuple[object, ...]]]):
    """The tensors of each sample of ``plan``, by its place."""

    def __init__(self, plan: Plan, known: Embeddings, *, prior_weight: float) -> None:
        self._samples, self._known = plan.samples, known
        self._weights = {"subject": 1.0, "prior": prior_weight}

    def __getitem__(self, place: Place) -> tuple[Place, tuple[object, ...]]:
        sample = self._samples[place.sample]
        latents_CHW, conditions = self._known.of(sample)
        mask_HW = self._known.masks.get(sample.id)
        mask_HW = latents_CHW.new_ones(latents_CHW.shape[1:]) if mask_HW is None else mask_HW
        return place, (latents_CHW, conditions, sample.text, mask_HW, self._weights[sample.role])


class Places:
    """``batches`` with the step and the places of each, as Lightning and ``DataLoader`` want it."""

    def __init__(self, batches: Batches, *, start: int) -> None:
        self._batches, self._start = batches, start

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Place]]:
        portions = self._batches.places()
        for number, indices in enumerate(self._batches, start=self._start * len(portions)):
            step, portion = divmod(number, len(portions))
            yield [
                Place(step, self._batches.size, place, index)
                for place, index in zip(portions[portion], indices, strict=True)
            ]


def loader(plan: Plan, known: Embeddings, *, start: int, prior_weight: float = 1.0) -> DataLoader[Batch]:
    """A ``Batch`` for each step of ``plan`` from ``start`` on.

    ``prior_weight`` is what the error of a picture of the prior counts, beside the subject's 1.
    """
    return shared(plan, known, Places(Batches(plan, start=start), start=start), prior_weight=prior_weight)


def shared(plan: Plan, known: Embeddings, places: Places, *, prior_weight: float) -> DataLoader[Batch]:
    """As ``loader``, for the part of each batch that ``places`` names. As many processes load as the machine gives."""
    return DataLoader(
        Examples(plan, known, prior_weight=prior_weight),  # type: ignore[arg-type]
        batch_sampler=places,
        collate_fn=collated,
        num_workers=machine.loaders(),
        generator=torch.Generator().manual_seed(plan.seed),  # its own: the loader would draw from the global one
    )


def collated(examples: Sequence[tuple[Place, tuple[object, ...]]]) -> Batch:
    """One ``Batch`` of ``examples``."""
    places = [place for place, _ in examples]
    latents_BCHW, conditions, texts, mask_BHW, weight_B = default_collate([values for _, values in examples])
    return Batch(
        latents_BCHW,
        conditions,
        list(texts),
        mask_BHW,
        weight_B.float(),
        places[0].step,
        places[0].size,
        [place.place for place in places],
    )
