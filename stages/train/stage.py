"""Teach an adapter the subject under Lightning, with the prior beside it so that it is not lost."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages import adapters, embeddings, families, machine, pipelines, tables
from stages.embeddings import Embeddings
from stages.errors import ModelError
from stages.families import Family
from stages.records import ROLES, Failure, Point, Report, Role, Sample
from stages.train.batches import Batches, Plan
from stages.train.settings import Config

if TYPE_CHECKING:
    import lightning

__all__ = ["Config", "run"]

ADAPTER = "adapter.safetensors"


def run(config: Config, *, base: Path, prepared: Path, encoded: Path, out: Path) -> Report:
    """Write the adapter and the curves; go on from the checkpoint when a run before this one was stopped.

    Raises:
        ConfigError: when the settings do not fit the family.
        ModelError: when the family's network has no layer of ``targets``.
    """
    machine.use_threads(config.threads)
    samples = tables.read(prepared, Sample)
    known = embeddings.read(encoded)
    family = families.build(config.family, base, precision=config.base_precision)
    refuse_unfit(family, config)
    add_adapter(family, config)
    checkpoint = machine.cache("train") / f"{digest(config, base, encoded, prepared)}.ckpt"
    points = fit(family, config, samples, known, checkpoint)
    family.save_adapter(out / ADAPTER)
    tables.write(out, Point, points)
    unseen = left_out(_plan(samples, config))
    tables.write(out, Failure, unseen)
    checkpoint.unlink(missing_ok=True)
    return {**_report(points, family, samples), "unseen": len(unseen)}


def refuse_unfit(family: Family, config: Config) -> None:
    """Say what the family cannot do before anything large is loaded.

    Raises:
        ConfigError: when its process has no such weighting, or its weights bear no such adapter.
    """
    import torch

    adapters.refuse_unfit(wanted(config), quantised=config.base_precision in pipelines.QUANTISED)
    middle_B = family.process.levels(torch.tensor([0.5]), (8, 8))
    family.process.weight(middle_B, config.optimisation.noise.weighting)


def add_adapter(family: Family, config: Config) -> None:
    """A fresh adapter on ``family``, drawn from the seed and from nothing that came before."""
    import torch

    torch.manual_seed(config.seed)
    try:
        family.add_adapter(wanted(config))
    except ValueError as error:
        raise ModelError(f"train.targets: {error}; name layers that this family has") from None


def wanted(config: Config) -> adapters.Adapter:
    """The adapter that ``config`` describes."""
    return adapters.Adapter(
        kind=config.adapter,
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
        targets=config.targets,
        text_targets=config.text_targets,
    )


def fit(
    family: Family,
    config: Config,
    samples: Sequence[Sample],
    known: Embeddings,
    checkpoint: Path,
    extra: "Sequence[lightning.Callback]" = (),
) -> list[Point]:
    """Train until ``config.steps``, from ``checkpoint`` where it exists, and give the curves. ``extra`` may stop it."""
    import torch

    from stages.train import loading, trainer
    from stages.train.checkpoints import Checkpoints
    from stages.train.curves import Curves
    from stages.train.module import Adaptation
    from stages.train.progress import Progress

    done = torch.load(checkpoint, weights_only=True)["global_step"] if checkpoint.is_file() else 0
    measure = heldout_losses(family, samples, known, seed=config.seed)
    curves = Curves(measure, every=config.curve_every, steps=config.steps)
    callbacks = [curves, Checkpoints(checkpoint, every=config.checkpoint_every), Progress(curves, steps=config.steps)]
    module = Adaptation(family, config.optimisation, empty=known.empty, steps=config.steps, seed=config.seed)
    trainer.build(
        [*callbacks, *extra], precision=config.precision, steps=config.steps, clip=config.optimisation.clip
    ).fit(
        module.train(),
        loading.loader(_plan(samples, config), known, start=done, prior_weight=config.prior_weight),
        ckpt_path=checkpoint if done else None,
        weights_only=True,
    )
    return curves.points


def digest(config: Config, *folders: Path) -> str:
    """What a checkpoint belongs to: 32 hex digits over the settings and all files that the training reads."""
    total = hashlib.sha256(repr(config).encode())
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            total.update(file.relative_to(folder).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:32]


def heldout_losses(
    family: Family, samples: Sequence[Sample], known: Embeddings, *, seed: int
) -> Callable[[], dict[Role, float | None]]:
    """What measures the mean held-out loss of subject and prior: fixed timesteps, fixed noise, none where none is held."""
    heldout = [sample for sample in samples if sample.split == "heldout"]

    def mean(role: Role) -> float | None:
        mine = [sample for sample in heldout if sample.role == role]
        losses = [embeddings.heldout_loss(family, known, each, seed=seed) for each in mine]
        return sum(losses) / len(losses) if losses else None

    def measure() -> dict[Role, float | None]:
        networks = family.networks.values()
        learning = [network.training for network in networks]
        for network in networks:
            network.eval()
        losses = {role: mean(role) for role in ROLES}
        for network, mode in zip(networks, learning, strict=True):
            network.train(mode)
        return losses

    return measure


def left_out(plan: Plan) -> list[Failure]:
    """The samples of ``plan`` that no step saw, and why."""
    reasons = Batches(plan).unseen()
    return [
        Failure(id=sample.id, what=sample.text, reason=reasons[index])
        for index, sample in enumerate(plan.samples)
        if index in reasons
    ]


def _plan(samples: Sequence[Sample], config: Config) -> Plan:
    chosen = [sample for sample in samples if sample.split == "train"]
    return Plan(samples=chosen, size=config.batch, prior_share=config.prior_share, steps=config.steps, seed=config.seed)


def _report(points: Sequence[Point], family: Family, samples: Sequence[Sample]) -> Report:
    first, last = points[0], points[-1]
    numbers = {
        "loss": last.loss,
        "heldout_loss": last.heldout_loss,
        "heldout_loss_before": first.heldout_loss,
        "prior_loss": last.prior_loss,
        "prior_loss_before": first.prior_loss,
        "steps": last.step,
        "weights": sum(weight.numel() for weight in adapters.weights(family.networks)),
        "samples": sum(sample.split == "train" for sample in samples),
    }
    return {name: number for name, number in numbers.items() if number is not None}
