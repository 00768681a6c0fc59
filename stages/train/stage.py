"""Teach an adapter the subject under Lightning, with the prior beside it so that it is not lost."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages import adapters, embeddings, families, machine, pipelines, tables, tracking
from stages.embeddings import Embeddings
from stages.errors import ModelError
from stages.families import Family
from stages.records import ROLES, Failure, Point, Report, Role, Sample
from stages.train.batches import Batches, Plan
from stages.train.settings import Config

if TYPE_CHECKING:
    import lightning

    from stages.train.figures import Figures

__all__ = ["Config", "run"]

log = logging.getLogger(__name__)

ADAPTER = "adapter.safetensors"


def run(config: Config, *, base: Path, prepared: Path, encoded: Path, out: Path) -> Report:
    """Write the adapter and the curves; go on from the checkpoint when a run before this one was stopped.

    Raises:
        ConfigError: when the settings do not fit the family.
        ModelError: when the family's network has no layer of ``targets``.
    """
    from stages.train import distributed
    from stages.train.figures import Figures

    distributed.use_own_device()
    machine.use_threads(config.threads)
    samples = tables.read(prepared, Sample)
    known = embeddings.read(encoded)
    family = families.build(config.family, base, precision=config.base_precision)
    refuse_unfit(family, config)
    add_adapter(family, config)
    training = digest(config, base, encoded, prepared)
    checkpoint = machine.cache("train") / f"{training}.ckpt"
    figures = Figures(batch=config.batch)
    watching = watchers(family, config, samples, figures, training)
    points = fit(family, config, samples, known, checkpoint, watching)
    family.save_adapter(out / ADAPTER)
    tables.write(out, Point, points)
    unseen = left_out(_plan(samples, config))
    tables.write(out, Failure, unseen)
    _keep_pictures(checkpoint.with_suffix(""), out / "samples")
    tracking.remember(out, tracking.by_this_code(training), _told(figures))
    checkpoint.unlink(missing_ok=True)
    return {**_report(points, family, samples), "unseen": len(unseen)}


def watchers(
    family: Family, config: Config, samples: Sequence[Sample], figures: "Figures", training: str
) -> "list[lightning.Callback]":
    """What looks at the training named ``training`` and changes nothing of it."""
    from stages.train import live, pictures

    spool = machine.cache("live") / f"{training}.jsonl"
    shown = live.Live(figures, spool, training=tracking.by_this_code(training), steps=config.steps)
    watching: list[lightning.Callback] = [figures, *([shown] if live.wanted() else [])]
    prompts = pictures.prompts_of(config.samples, samples)
    if config.samples.every and prompts:
        folder = machine.cache("train") / training
        drawn = pictures.Pictures(family, config.samples, folder, prompts=prompts, show=shown.add_pictures)
        watching.append(drawn)
    return watching


def refuse_unfit(family: Family, config: Config) -> None:
    """Say what the family cannot do before anything large is loaded.

    Raises:
        ConfigError: when its process has no such weighting, or its weights bear no such adapter.
    """
    import torch

    from stages.train import trainer

    quantised = config.base_precision in pipelines.QUANTISED
    trainer.refuse_unfit(config.trainer, batch=config.batch, quantised=quantised)
    adapters.refuse_unfit(wanted(config), quantised=quantised)
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

    from stages.train import distributed, loading, sharding, trainer
    from stages.train.checkpoints import Checkpoints
    from stages.train.curves import Curves
    from stages.train.module import Adaptation
    from stages.train.progress import Progress

    done = torch.load(checkpoint, weights_only=True)["global_step"] if checkpoint.is_file() else 0
    measure = heldout_losses(family, samples, known, seed=config.seed)
    curves = Curves(measure, every=config.curve_every, steps=config.steps)
    callbacks = [
        distributed.OneStart(),
        curves,
        Checkpoints(checkpoint, every=config.checkpoint_every),
        Progress(curves, steps=config.steps),
    ]
    module = Adaptation(family, config.optimisation, empty=known.empty, steps=config.steps, seed=config.seed)
    sharing = [sharding.SharedBase(module.networks)] if config.trainer.strategy == trainer.SHARDED else []
    built = trainer.build(
        [*sharing, *callbacks, *extra], config.trainer, steps=config.steps, clip=config.optimisation.clip
    )
    plan = _plan(samples, config)
    batches = Batches(plan, start=done, rank=built.global_rank, ranks=built.world_size)
    places = loading.Places(batches, start=done)
    with distributed.together(built):
        built.fit(
            module.train(),
            loading.shared(plan, known, places, prior_weight=config.prior_weight),
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


def _keep_pictures(drawn: Path, out: Path) -> None:
    if drawn.is_dir():
        shutil.copytree(drawn, out, dirs_exist_ok=True)
        shutil.rmtree(drawn)


def _told(figures: "Figures") -> dict[str, float]:
    """What the training took, told on one line: no output may hold it."""
    taken = figures.taken()
    line = "train: {seconds:.0f} s, {step_seconds:.3g} s a step, {samples_per_second:.3g} pictures a second, {peak_gigabytes:.2f} GB"
    log.info(line.format(**taken))
    return taken


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
