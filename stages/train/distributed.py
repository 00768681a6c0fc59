"""Several processes that train one adapter: what each may do, and what happens when one of them dies.

Lightning starts one process for each further device, by the command line that started the first; under ``torchrun`` and
Slurm they are there already. Each computes its share of every batch, and the gradients are averaged. Only rank 0 writes.
"""

import logging
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning
import torch

from stages.errors import DarkroomError

GRACE = 2.0  # seconds within which a process is known to have died before us and not of us
LAUNCHER = "lightning.fabric.strategies.launchers.subprocess_script"

Processes = Sequence["subprocess.Popen[bytes]"]


def use_own_device() -> None:
    """Let ``cuda`` mean this process's own GPU from now on: what is loaded before Lightning starts goes there."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0))


@contextmanager
def together(trainer: lightning.Trainer) -> Iterator[None]:
    """Train in this block as one of the processes: rank 0 alone comes out of it, and the others end there.

    Raises:
        DarkroomError: when another process died.
        SystemExit: at the end, in every process but rank 0.
    """
    logging.getLogger(LAUNCHER).setLevel(logging.INFO)  # it says who died where it must end this process, too
    try:
        yield
    except RuntimeError:  # what torch raises when the others no longer answer
        if dead := _dead(_others(trainer)):
            raise DarkroomError(_obituary(*dead)) from None
        raise
    finally:
        for each in _others(trainer) if trainer.interrupted else ():
            each.kill()  # it would wait for us
    if trainer.global_rank:
        raise SystemExit(0)


class OneStart(lightning.Callback):
    """Makes sure that all processes go on from the same step."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compare the steps.

        Raises:
            DarkroomError: when some see a checkpoint that others do not see.
        """
        first = trainer.strategy.broadcast(trainer.global_step)
        if first != trainer.global_step:
            raise DarkroomError(
                f"train: rank {trainer.global_rank} would begin at step {trainer.global_step} and rank 0 at step {first}; "
                "let DARKROOM_CACHE name one folder that all of them see"
            )


def _others(trainer: lightning.Trainer) -> Processes:
    """The processes that Lightning started from this one."""
    found: Processes = getattr(trainer.strategy.launcher, "procs", ())
    return found


def _dead(others: Processes) -> tuple[int, int] | None:
    """Rank and exit code of one of ``others`` that ended badly."""
    until = time.monotonic() + GRACE
    while others and time.monotonic() < until:
        for place, each in enumerate(others):
            if code := each.poll():
                return place + 1, code
        time.sleep(0.05)
    return None


def _obituary(rank: int, code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}, and says above why"
    return f"train: the process of rank {rank} {how}; put that right, and `dvc repro` goes on from the last checkpoint"
