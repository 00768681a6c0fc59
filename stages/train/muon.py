"""Muon for matrices and AdamW for all else, as one optimiser."""

from collections.abc import Callable
from typing import Any

import torch

from stages.train.optimisers import Group


class Muon(torch.optim.Optimizer):
    """Both as one optimiser, which is what Lightning can step: they share its groups and its state."""

    def __init__(
        self, groups: list[Group], *, momentum: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        matrices = _of(groups, lambda weight: weight.ndim == 2)
        others = _of(groups, lambda weight: weight.ndim != 2)
        self._parts: list[tuple[torch.optim.Optimizer, int]] = []  # each with the number of its groups
        if matrices:
            muon = torch.optim.Muon(
                matrices,
                momentum=momentum,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self._parts.append((muon, len(matrices)))
        if others:
            adamw = torch.optim.AdamW(others, betas=betas, weight_decay=weight_decay)
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
