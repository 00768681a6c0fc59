"""What a training step does, for any family: noise, predict, weigh, descend.

Shapes: B batch, C channels, H and W of latents.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import lightning
import torch
from pydantic import Field
from torch import Tensor

from stages import adapters, denoising
from stages.config import settings
from stages.families import Family
from stages.train import noise
from stages.train.descent import Descent
from stages.train.loading import Batch


@settings
class Optimisation:
    """How the adapter learns from a batch."""

    clip: Annotated[float, Field(gt=0)]  # norm of the gradient
    caption_dropout: Annotated[float, Field(ge=0, lt=1)]  # share of captions left empty, for guidance
    noise: noise.Noise
    ema_decay: Annotated[float, Field(ge=0, lt=1)]  # of the averaged adapter that is kept; 0 keeps the last


class Adaptation(lightning.LightningModule):
    """The adapter of ``family`` in training. It knows no family; all randomness of batch k is a function of (seed, k)."""

    def __init__(
        self, family: Family, settings_of: Optimisation, descent: Descent, *, empty: Mapping[str, Tensor], seed: int
    ) -> None:
        super().__init__()
        self.family = family
        self.networks = torch.nn.ModuleDict(family.networks)
        self.strict_loading = False  # a checkpoint holds the adapter and not the frozen weights
        self._settings = settings_of
        self._descent = descent
        self._seed = seed
        self._average: list[Tensor] = []
        self._optimizer: Any = None
        self._empty = tuple(empty)
        for name, value in empty.items():
            self.register_buffer(f"empty_{name}", value, persistent=False)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begin every batch from its own seed: a resumed run draws what an undisturbed one draws."""
        torch.manual_seed(step_seed(self._seed, batch_idx))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted denoising error of ``batch``."""
        latents_BCHW = batch.latents_BCHW
        eps_BCHW = noise.drawn(latents_BCHW, self._settings.noise)
        parts_B = noise.parts(len(latents_BCHW), self._settings.noise.levels)
        size = (latents_BCHW.shape[-2], latents_BCHW.shape[-1])
        levels_B = self.family.process.levels(parts_B, size).to(self.device)
        conditions = self._with_dropout(batch.conditions, len(latents_BCHW))
        error_B = denoising.squared_error(self.family, latents_BCHW, conditions, eps_BCHW, levels_B)
        loss: Tensor = (error_B * self.family.process.weight(levels_B, self._settings.noise.weighting)).mean()
        return loss

    def _with_dropout(self, conditions: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """``conditions`` with the words of some pictures left out: what has no words, as sizes, stays."""
        dropped_B = torch.rand(count, device=self.device) < self._settings.caption_dropout
        empty = {name: self.get_buffer(f"empty_{name}") for name in self._empty}
        return dict(conditions) | {
            name: torch.where(dropped_B.reshape(-1, *[1] * value.dim()), value, conditions[name])
            for name, value in empty.items()
        }

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """Descend, and move the average towards the weights, when one is kept: here, before a callback saves both."""
        super().optimizer_step(*arguments, **named)
        if decay := self._settings.ema_decay:
            weights = [weight.detach() for weight in self.weights()]
            self._average = self._average or [weight.clone() for weight in weights]
            done = self.global_step + 1  # Lightning counts this step only when we return
            torch._foreach_lerp_(self._average, weights, 1 - min(decay, done / (done + 9)))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have the weights, for this block, that would be kept now: the average, where there is one. Then go on exactly."""
        learning = [weight.detach().clone() for weight in self.weights()]
        self._settle()
        try:
            yield
        finally:
            _switch(self._optimizer, "train")
            for weight, before in zip(self.weights(), learning, strict=True):
                weight.data.copy_(before)  # the optimiser's own way back rounds

    def on_train_end(self) -> None:
        """Keep the average instead of the last weights, when there is one."""
        self._settle()

    def configure_optimizers(self) -> Any:
        """The chosen optimiser over the adapter, the rate changed after each step."""
        descending = self._descent.over(self.family.networks)
        self._optimizer = descending["optimizer"]
        _switch(self._optimizer, "train")
        return descending

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the adapter and its average; the base lies elsewhere and does not change."""
        trained = {name for name, weight in self.named_parameters() if weight.requires_grad}
        checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if name in trained}
        checkpoint["average"] = self._average

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the average up again."""
        self._average = [mean.to(self.device) for mean in checkpoint["average"]]

    def weights(self) -> list[Tensor]:
        """What is trained."""
        return adapters.weights(self.family.networks)

    def _settle(self) -> None:
        for weight, mean in zip(self.weights(), self._average, strict=False):
            weight.data.copy_(mean)
        _switch(self._optimizer, "eval")


def _switch(optimizer: Any, mode: str) -> None:
    """Let an optimiser that averages by itself put the weights in place that are to be learned with, or to be kept."""
    if hasattr(optimizer, mode):
        getattr(optimizer, mode)()


def step_seed(seed: int, step: int) -> int:
    """A seed for one batch that has nothing to do with those of its neighbours."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:8], "big") >> 1
