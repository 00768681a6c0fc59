"""Pictures by the adapter on its way, always of the same prompts and seeds; drawing them changes nothing of the training."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch

from stages.families import Family
from stages.images import encode_png
from stages.records import Sample
from stages.tables import replace
from stages.train.settings import Samples

Show = Callable[[int, Mapping[str, Path]], None]  # is told of a step's pictures


class Pictures(lightning.Callback):
    """Draws before the first step and every so many steps, into ``folder``: ``STEP-PROMPT-SEED.png``.

    What lies there already is kept: a training that goes on would draw the same again.
    """

    def __init__(self, family: Family, wanted: Samples, folder: Path, *, prompts: Sequence[str], show: Show) -> None:
        self._family = family
        self._wanted = wanted
        self._prompts = prompts
        self._folder = folder
        self._show = show
        self._done = -1  # the last step that was looked at

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw what the base draws, and show what was drawn before a training was stopped."""
        for step in range(0, trainer.global_step + 1, self._wanted.every):
            self._visit(trainer, step)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Draw when it is due."""
        if trainer.global_step > self._done and trainer.global_step % self._wanted.every == 0:
            self._visit(trainer, trainer.global_step)

    def _visit(self, trainer: lightning.Trainer, step: int) -> None:
        self._done = step
        files = self._files(step)
        missing = not all(file.is_file() for file in files.values())
        if trainer.strategy.broadcast(missing) and step == trainer.global_step:
            with trainer.lightning_module.kept():
                pictures = self._drawn()
            if trainer.is_global_zero:
                for file, pixels in zip(files.values(), pictures, strict=True):
                    replace(file, encode_png(pixels))
        if trainer.is_global_zero:
            self._show(step, {name: file for name, file in files.items() if file.is_file()})

    def _files(self, step: int) -> dict[str, Path]:
        names = [f"{number}-{seed}" for number in range(len(self._prompts)) for seed in self._wanted.seeds]
        return {name: self._folder / f"{step:08d}-{name}.png" for name in names}

    def _drawn(self) -> Any:
        """By all processes alike: each may hold a share of the weights."""
        wanted, networks = self._wanted, self._family.networks.values()
        learning = [network.training for network in networks]
        for network in networks:
            network.eval()
        prompts = [prompt for prompt in self._prompts for _ in wanted.seeds]
        seeds = list(wanted.seeds) * len(self._prompts)
        with torch.random.fork_rng(), torch.no_grad():
            drawn = self._family.generate(
                prompts, seeds, steps=wanted.steps, guidance=wanted.guidance, size=wanted.size
            )
        for network, before in zip(networks, learning, strict=True):
            network.train(before)
        return drawn


def prompts_of(wanted: Samples, samples: Sequence[Sample]) -> list[str]:
    """The prompts of ``wanted``, or the words of the first held-out picture of the subject."""
    heldout = [sample.text for sample in samples if sample.split == "heldout" and sample.role == "subject"]
    return list(wanted.prompts) or heldout[:1]
