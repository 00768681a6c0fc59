"""Teach an adapter the subject under Lightning, with the prior beside it so that it is not lost."""

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stages import adapters, embeddings, families, machine, pipelines, tables, trainings
from stages.embeddings import Embeddings
from stages.errors import ConfigError, ModelError
from stages.families import Family
from stages.records import ROLES, Failure, Point, Report, Role, Sample
from stages.train import descent, networks, optimisers
from stages.train.batches import Batches, Plan
from stages.train.settings import Config

if TYPE_CHECKING:
    import lightning

    from stages.train.figures import Figures

__all__ = ["Config", "run"]

log = logging.getLogger(__name__)

ADAPTER = "adapter.safetensors"
SNAPSHOTS = "checkpoints"


def run(config: Config, *, base: Path, prepared: Path, encoded: Path, out: Path) -> Report:
    """Write the adapter and the curves; go on from the checkpoint when a run before this one was stopped.

    Raises:
        ConfigError: when the settings do not fit the family.
        ModelError: when the family's network has no layer of ``targets``.
    """
    from stages.train import checkpoints, distributed
    from stages.train.figures import Figures

    distributed.use_own_device()
    machine.use_threads(config.threads)
    samples = tables.read(prepared, Sample)
    family = families.build(config.family, base, precision=config.base_precision)
    refuse_unfit(family, config, samples)
    known = embeddings.read(encoded)
    add_adapter(family, config)
    training = digest(config, base, encoded, prepared)
    checkpoint = machine.cache("train") / f"{training}.ckpt"
    figures = Figures(batch=config.batch)
    watching = watchers(family, config, samples, figures, training)
    points = fit(family, config, samples, known, checkpoint, watching)
    family.save_adapter(out / ADAPTER)
    tables.write(out, Point, points)
    unseen = left_out(replace(_plan(samples, config), steps=points[-1].step))  # it may have ended early
    tables.write(out, Failure, unseen)
    _keep_pictures(checkpoint.with_suffix(""), out / "samples")
    kept = checkpoints.snapshots(checkpoint)
    if kept.is_dir():  # not where the training is shorter than the steps between two
        shutil.copytree(kept, out / SNAPSHOTS, dirs_exist_ok=True)
    trainings.remember(out, trainings.by_this_code(training), _told(figures))  # of all that it left
    checkpoints.remove(checkpoint)
    return {**_report(points, family, config, samples), "unseen": len(unseen)}


def watchers(
    family: Family, config: Config, samples: Sequence[Sample], figures: "Figures", training: str
) -> "list[lightning.Callback]":
    """What looks at the training named ``training`` and changes nothing of it."""
    from stages.train import live, pictures, watched

    spool = machine.cache("live") / f"{training}.jsonl"
    shown = live.Live(figures, spool, training=trainings.by_this_code(training), steps=config.steps)
    watching: list[lightning.Callback] = [figures, *([shown] if live.wanted() else [])]
    prompts = pictures.prompts_of(config.samples, samples)
    if config.samples.every and prompts:
        place = machine.cache("train") / training
        drawn = pictures.Pictures(family, config.samples, place, prompts=prompts, show=shown.add_pictures)
        watching.append(drawn)
    if folder := watched.folder():
        watching.append(watched.Watched(folder))
    return watching


def refuse_unfit(family: Family, config: Config, samples: Sequence[Sample]) -> None:
    """Say what does not fit together before anything large is loaded.

    Raises:
        ConfigError: when the family's process has no such weighting, its weights bear no such adapter, the optimiser takes
            no such schedule, rates or average, this machine lacks what is asked for, a batch has no such parts, or there are
            no held-out pictures to choose by.
    """
    import torch

    from stages.train import choice, trainer

    quantised = config.base_precision in pipelines.QUANTISED
    trainer.refuse_unfit(config.trainer, batch=config.batch, base=config.base_precision)
    if config.batch % (config.accumulate * config.trainer.ranks):
        raise ConfigError(
            f"train.accumulate: {config.batch} pictures have no {config.accumulate} equal parts for each of "
            f"{config.trainer.ranks} processes; give a divisor"
        )
    adapters.refuse_unfit(wanted(config), quantised=quantised)
    descent.refuse_unfit(descending(config), kind=config.adapter["name"], ema_decay=config.optimisation.ema_decay)
    networks.refuse_unfit(compile_them=config.compile)
    choice.refuse_unfit(config.choice, samples)
    middle_B = family.process.levels(torch.tensor([0.5]), (8, 8))
    family.process.weight(middle_B, config.optimisation.noise.weighting)


def descending(config: Config) -> descent.Descent:
    """How ``config`` lets the weights go down."""
    return descent.Descent(
        optimiser=optimisers.build(config.optimiser),
        schedule=config.schedule,
        rates=descent.Rates(lr=config.lr, text_lr=config.text_lr, b_ratio=config.lora_plus),
        steps=config.steps,
    )


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
    """Train until ``config.steps``, from ``checkpoint`` where it exists, and give the curves. ``extra`` may stop it.

    Raises:
        ModelError: when the loss or a weight is no finite number, or the checkpoint is of other settings.
        DarkroomError: when the disk is full.
    """
    from stages.train import checkpoints, choice, distributed, loading, sharding, trainer
    from stages.train.curves import Curves
    from stages.train.guard import Guard, refuse_broken
    from stages.train.module import Adaptation
    from stages.train.progress import Progress

    resumed, done = checkpoints.newest(checkpoint) or (None, 0)
    plan = _plan(samples, config)
    module = Adaptation(family, config.optimisation, descending(config), empty=known.empty, seed=config.seed)
    measure = module.kept()(heldout_losses(family, samples, known, seed=config.seed))
    curves = Curves(measure, every=config.curve_every, steps=config.steps)
    chooser = choice.Chooser(config.choice, curves)
    callbacks = [distributed.OneStart(), Guard(plan, checkpoint), curves, chooser, Progress(curves, steps=config.steps)]
    if config.snapshots:
        folder = checkpoints.snapshots(checkpoint)
        callbacks.append(checkpoints.Snapshots(family.save_adapter, folder, every=config.snapshots))
    callbacks.append(checkpoints.Checkpoints(checkpoint, every=config.checkpoint_every))
    networks.prepare(family, checkpointing=config.checkpointing, compile_them=config.compile)
    sharing = [sharding.SharedBase(module.networks)] if config.trainer.strategy == trainer.SHARDED else []
    built = trainer.build(
        [*sharing, *callbacks, *extra],
        config.trainer,
        steps=config.steps,
        accumulate=config.accumulate,
        clip=config.optimisation.clip,
        idle=adapters.may_idle(wanted(config)),
    )
    share = {"rank": built.global_rank, "ranks": built.world_size, "portions": config.accumulate}
    places = loading.Places(Batches(plan, start=done, **share), start=done)
    with distributed.together(built):
        built.fit(
            module.train(),
            loading.shared(plan, known, places, prior_weight=config.prior_weight),
            ckpt_path=resumed,
            weights_only=True,
        )
    chooser.put_back(module)
    refuse_broken(module.weights(), step=curves.points[-1].step, checkpoint=checkpoint)
    return curves.points


def digest(config: Config, *folders: Path) -> str:
    """What a checkpoint belongs to: 32 hex digits over the settings and all files that the training reads."""
    total = hashlib.sha256(repr(config).encode())
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            total.update(file.relative_to(folder).as_posix().encode() + b"\0")
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
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
    return Plan(
        samples=chosen,
        size=config.batch,
        prior_share=config.prior_share,
        steps=config.steps,
        seed=config.seed,
    )


def _report(points: Sequence[Point], family: Family, config: Config, samples: Sequence[Sample]) -> Report:
    """What came of it. The held-out losses are of what is kept; with ``keep: best`` they are lower than honest ones."""
    from stages.train import choice

    first, last = points[0], points[-1]
    best = choice.best(points, prior_margin=config.choice.prior_margin)
    kept = best if best and config.choice.keep == "best" else last
    numbers = {
        "loss": last.loss,
        "heldout_loss": kept.heldout_loss,
        "heldout_loss_before": first.heldout_loss,
        "prior_loss": kept.prior_loss,
        "best_step": best.step if best else None,
        "prior_loss_before": first.prior_loss,
        "steps": last.step,
        "weights": sum(weight.numel() for weight in adapters.weights(family.networks)),
        "samples": sum(sample.split == "train" for sample in samples),
    }
    return {name: number for name, number in numbers.items() if number is not None}
