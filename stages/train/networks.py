"""How networks compute: with activations computed again to save memory, or compiled to save time. Not what."""

import os
import shutil
from typing import Any

from stages import machine
from stages.errors import ConfigError
from stages.families import Family

COMPILERS = ("g++", "clang++", "c++")


def refuse_unfit(*, compile_them: bool) -> None:
    """Say what this machine lacks.

    Raises:
        ConfigError: when networks are to be compiled and there is no compiler.
    """
    if not compile_them:
        return
    if machine.device() == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            raise ConfigError("train.compile: there is no Triton for this GPU; install triton, or give false")
    elif not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name):
        raise ConfigError("train.compile: there is no C++ compiler; install g++, or give false")


def prepare(family: Family, *, checkpointing: bool, compile_them: bool) -> None:
    """Have activations computed again on the way back, and networks compiled when they first run, where it is wanted.

    The first takes less memory and gives the same gradients to the bit.
    """
    for network in _passed(family):
        if checkpointing and hasattr(network, "enable_gradient_checkpointing"):
            network.enable_gradient_checkpointing()  # diffusers
        elif checkpointing:
            network.activation_checkpointing_enable()  # transformers
        if compile_them:
            network.compile()


def _passed(family: Family) -> list[Any]:
    """The networks that gradients pass: the denoiser, also where text encoders alone are trained."""
    found = {id(network): network for network in (family.denoiser, *family.networks.values())}
    return list(found.values())
