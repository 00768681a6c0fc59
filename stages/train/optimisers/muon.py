"""Muon, torch's own, for the matrices, and AdamW for all else. Jordan et al., 2024; Liu et al., arXiv 2502.16982.

The second paper's ``match_rms_adamw`` makes its steps as large as AdamW's, so that AdamW's rate and decay fit.
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field

from stages.config import settings
from stages.train.optimisers import Group, Optimiser

Share = Annotated[float, Field(ge=0, lt=1)]


@settings
class Config:
    """Of Muon, and of AdamW for what is no matrix."""

    momentum: Share
    betas: tuple[Share, Share]  # of AdamW
    weight_decay: Annotated[float, Field(ge=0)]


def build(config: Config) -> Optimiser:
    """See ``Optimiser``."""
    return Optimiser(make=lambda groups: Muon(groups, config))


class Muon(torch.optim.Optimizer):
    """Both as one optimiser, which is what Lightning can step: they share its groups and its state."""

    def __init__(self, groups: list[Group], config: Config) -> None:
        matrices = _of(groups, lambda weight: weight.ndim == 2)
        others = _of(groups, lambda weight: weight.ndim != 2)
        self._parts: list[tuple[torch.optim.Optimizer, int]] = []  # each with the number of its groups
        if matrices:
            muon = torch.optim.Muon(
                matrices,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self._parts.append((muon, len(matrices)))
        if others:
            adamw = torch.optim.AdamW(others, betas=config.betas, weight_decay=config.weight_decay)
            self._parts.append((adamw, len(others)))
        super().__init__([group for part, _ in self._parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step both, after ``closure``; gives what it gave."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        first = 0
        for part, count in self._parts:
            # Here and not once: taking up a checkpoint puts new groups and a new state in the place of the old.
            part.param_groups, part.state = self.param_groups[first : first + count], self.state
            part.step()
            first += count
        return loss


def _of(groups: list[Group], chosen: Callable[[torch.Tensor], bool]) -> list[Group]:
    """Those weights of ``groups`` that are ``chosen``, in groups of the same rates."""
    found = [group | {"params": [weight for weight in group["params"] if chosen(weight)]} for group in groups]
    return [group for group in found if group["params"]]
