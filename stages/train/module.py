"""What a training step does, for any family: noise, predict, weigh, descend.

Shapes: B batch, C channels, H and W of latents.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from torch import Tensor

from stages import adapters, denoising, families
from stages.families import Family
from stages.train import noise
from stages.train.descent import Descent
from stages.train.loading import Batch
from stages.train.settings import Optimisation


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

    def on_train_start(self) -> None:
        """Have the average of a checkpoint where the weights are: it was loaded before they were moved."""
        self._average = [mean.to(self.device) for mean in self._average]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begin every step from its own seed: what the network drops is the same in a resumed run as in an undisturbed one."""
        reseed(noise.seed_of(self._seed, batch.step, batch.places[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted denoising error of ``batch``."""
        process, latents_BCHW = self.family.process, batch.latents_BCHW
        draw = noise.drawn(batch, self._settings.noise, seed=self._seed)
        size = (latents_BCHW.shape[-2], latents_BCHW.shape[-1])
        levels_B = process.levels(draw.parts_B, size).to(self.device)
        conditions = self._conditions(batch, draw.chances_B < self._settings.caption_dropout)
        noisy_BCHW, _ = process.corrupt(latents_BCHW, draw.seen_BCHW, levels_B)
        _, target_BCHW = process.corrupt(latents_BCHW, draw.eps_BCHW, levels_B)
        answer_BCHW = self.family.predict(noisy_BCHW, levels_B, conditions)
        error_B = denoising.masked_error(answer_BCHW, target_BCHW, batch.mask_BHW, outside=self._settings.outside_mask)
        weight_B = batch.weight_B * process.weight(levels_B, self._settings.noise.weighting)
        loss: Tensor = (weight_B * error_B).mean()
        return loss

    def _conditions(self, batch: Batch, dropped_B: Tensor) -> dict[str, Tensor]:
        """Those of ``batch`` with the words of some pictures left out: what has no words, as sizes, stays.

        Where the text encoders learn, the words are encoded anew, with gradients.
        """
        if families.trains_words(self.family):
            texts = ["" if gone else text for gone, text in zip(dropped_B.tolist(), batch.texts, strict=True)]
            return {**batch.conditions, **self.family.encode_prompts(texts)}
        empty = {name: self.get_buffer(f"empty_{name}") for name in self._empty}
        return dict(batch.conditions) | {
            name: torch.where(dropped_B.reshape(-1, *[1] * value.dim()), value, batch.conditions[name])
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
        self._average = list(checkpoint["average"])

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


def reseed(seed: int) -> None:
    """``torch.manual_seed`` for the devices that are at work: for each of the others it writes down a stack of calls.

    That took 6 ms of every step.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
