"""Lightning's trainer, with what it would write or print by itself left to us."""

import logging
import os
import warnings
from collections.abc import Sequence

import lightning
import torch

from stages import machine
from stages.errors import ConfigError
from stages.pipelines import QUANTISED, Precision
from stages.train.settings import Trainer

SHARDED = "fsdp"  # DDP over the adapter, with the base's weights shared out: see ``sharding``


def refuse_unfit(wanted: Trainer, *, batch: int, base: Precision) -> None:
    """Say what cannot be before anything large is loaded.

    Raises:
        ConfigError: when a batch cannot be shared out evenly, gradients would be lost over a base of ``base``, or this
            machine has not what is asked for.
    """
    gpu = machine.device() == "cuda"
    if batch % wanted.ranks:
        raise ConfigError(
            f"train.batch: {batch} pictures cannot be shared out evenly among {wanted.ranks} processes "
            f"(train.trainer: devices {wanted.devices}, num_nodes {wanted.num_nodes}); give a multiple of {wanted.ranks}"
        )
    if wanted.strategy == SHARDED and wanted.ranks == 1:
        raise ConfigError("train.trainer.strategy: fsdp has nobody to share with; give auto, or two devices and more")
    if wanted.strategy == SHARDED and base in QUANTISED:
        raise ConfigError(
            "train.trainer.strategy: fsdp cannot share out a quantised base; give ddp, or bf16 for the base"
        )
    if gpu and wanted.devices > torch.cuda.device_count():
        raise ConfigError(
            f"train.trainer.devices: {wanted.devices}, and this machine has {torch.cuda.device_count()}; give no more"
        )
    if base == "fp16" and wanted.precision != "16-mixed":
        raise ConfigError(
            "family.precision: over a base of fp16 small gradients become 0 unless the loss is scaled; give bf16, or "
            "train.trainer.precision=16-mixed on a GPU"
        )
    if not gpu and wanted.precision == "16-mixed":
        raise ConfigError("train.trainer.precision: 16-mixed needs a GPU; give 32-true or bf16-mixed")


def build(
    callbacks: Sequence[lightning.Callback], wanted: Trainer, *, steps: int, accumulate: int, clip: float, idle: bool
) -> lightning.Trainer:
    """A trainer for one epoch of ``steps`` batches in ``accumulate`` parts each, gradients cut to a norm of ``clip``.

    Where some weights may have no part in a step, ``idle``, processes do not wait for each other's gradients of them.
    """
    # Its remarks on workers, loggers and checkpoints within an epoch do not apply here.
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # unset, Lightning would choose anew
    return lightning.Trainer(
        accelerator="gpu" if machine.device() == "cuda" else "cpu",
        devices=wanted.devices,
        num_nodes=wanted.num_nodes,
        strategy=_strategy(wanted, idle=idle),
        precision=wanted.precision,
        max_steps=steps,
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=clip,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(wanted: Trainer, *, idle: bool) -> str:
    if wanted.ranks > 1 and idle:
        return "ddp_find_unused_parameters_true"
    return "ddp" if wanted.strategy == SHARDED else wanted.strategy
