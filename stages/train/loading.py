"""From the plan of batches to the tensors of each step."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from stages.embeddings import Embeddings
from stages.train.batches import Batches, Plan


class Batch(NamedTuple):
    """What one step learns from."""

    latents_BCHW: Tensor
    conditions: Mapping[str, Tensor]  # as ``encode`` left them
    texts: list[str]  # which the conditions were made of


def loader(plan: Plan, known: Embeddings, *, start: int, rank: int, ranks: int) -> DataLoader[Batch]:
    """A ``Batch`` for each step of ``plan`` from ``start`` on: the share of ``rank`` among ``ranks`` processes."""
    examples = [Batch(*known.of(sample), sample.text) for sample in plan.samples]  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(plan.seed)  # its own: the loader would draw from the global one
    batches = Batches(plan, start=start, rank=rank, ranks=ranks)
    return DataLoader(examples, batch_sampler=batches, generator=generator)  # type: ignore[arg-type]
