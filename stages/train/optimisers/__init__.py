"""Optimisers by name, a file each: which one steps, and what does not go with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stages import plugins

Optimizer = Any  # a torch.optim.Optimizer; torch is imported only where it works
Group = dict[str, Any]  # ``params``, some weights, and ``lr``, their highest rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """One way to step, and what it goes with."""

    make: Callable[[list[Group]], Optimizer]
    schedules: tuple[str, ...] = ("constant", "linear", "cosine", "cosine_restarts", "polynomial")
    rates: bool = True  # whether its groups may differ in their rate
    averages: bool = False  # whether it keeps an average of the weights by itself, and has ``train`` and ``eval``


def build(choice: Mapping[str, Any]) -> Optimiser:
    """The optimiser that ``choice["name"]`` names, with the other keys as its settings.

    Raises:
        ConfigError: when there is none of that name, its settings do not fit, or this machine has not what it needs.
    """
    optimiser: Optimiser = plugins.build(__name__, choice)
    return optimiser
