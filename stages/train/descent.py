"""How trained weights go down: an optimiser over groups of them, each with its rate, and a schedule of the rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.errors import ConfigError
from stages.train.optimisers import Group, Optimiser
from stages.train.settings import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The highest rates."""

    lr: float
    text_lr: float  # of text encoders
    b_ratio: float  # by which the rate of a LoRA's B matrices is multiplied


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """All that decides about a step but the gradient."""

    optimiser: Optimiser
    schedule: Schedule
    rates: Rates
    steps: int

    def over(self, networks: Mapping[str, Any]) -> dict[str, Any]:
        """Optimiser and schedule for what is trained of ``networks``, as Lightning wants them."""
        import torch

        optimizer = self.optimiser.make(groups(networks, self.rates))
        rule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(self.schedule, step, self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rule, "interval": "step"}}


def refuse_unfit(descent: Descent, *, kind: str, ema_decay: float) -> None:
    """Say what the chosen optimiser, or an adapter of ``kind``, does not go with.

    Raises:
        ConfigError: when it is the schedule, rates that differ, or an average beside its own.
    """
    optimiser, rates, schedule = descent.optimiser, descent.rates, descent.schedule.kind
    if schedule not in optimiser.schedules:
        fit = ", ".join(optimiser.schedules)
        raise ConfigError(f"train.schedule.kind: {schedule} does not go with the chosen optimiser; give one of: {fit}")
    if not optimiser.rates and (rates.b_ratio != 1 or rates.text_lr != rates.lr):
        raise ConfigError(
            "train.lora_plus, train.text_lr: the chosen optimiser has one rate for all weights; give 1 and train.lr"
        )
    if kind in {"lokr", "loha"} and rates.b_ratio != 1:
        raise ConfigError(
            f"train.lora_plus: {kind} has no matrix B whose rate could be higher; give 1, or another adapter"
        )
    if optimiser.averages and ema_decay:
        raise ConfigError(
            "train.optimisation.ema_decay: the chosen optimiser keeps an average of its own; give 0, or another optimiser"
        )


def groups(networks: Mapping[str, Any], rates: Rates) -> list[Group]:
    """What is trained of ``networks``, by their names in the pipeline, in groups of one rate.

    That of B matrices is higher: "LoRA+", Hayou et al., arXiv 2402.12354.
    """
    found: dict[float, list[Any]] = {}
    for part, network in networks.items():
        rate = rates.text_lr if part.startswith("text_encoder") else rates.lr
        for name, weight in network.named_parameters():
            if weight.requires_grad:
                found.setdefault(rate * (rates.b_ratio if "lora_B" in name else 1), []).append(weight)
    return [{"params": weights, "lr": rate} for rate, weights in found.items()]


def share(schedule: Schedule, step: int, steps: int) -> float:
    """The share of the highest rate at ``step`` of ``steps``, in (0, 1]: a straight line up, and a curve down to the floor.

    Cosine as in Loshchilov and Hutter, arXiv 1608.03983, where ``cosine_restarts`` has cycles of equal length.
    """
    warm = min(1.0, (step + 1) / (schedule.warmup + 1))
    way = min(1.0, step / steps)
    if schedule.kind == "constant":
        return warm
    if schedule.kind == "linear":
        return warm * (schedule.floor + (1 - schedule.floor) * (1 - way))
    if schedule.kind == "polynomial":
        return warm * (schedule.floor + (1 - schedule.floor) * math.pow(1 - way, schedule.power))
    if schedule.kind == "cosine_restarts" and way < 1:
        way = way * schedule.cycles % 1
    return warm * (schedule.floor + (1 - schedule.floor) / 2 * (1 + math.cos(math.pi * way)))
