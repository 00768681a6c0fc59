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


def checkpoint_activations(family: Family) -> None:
    """Have activations computed again on the way back instead of kept: less memory, the same gradients to the bit."""
    for network in _passed(family):
        if hasattr(network, "enable_gradient_checkpointing"):
            network.enable_gradient_checkpointing()  # diffusers
        else:
            network.gradient_checkpointing_enable()  # transformers


def compiled(family: Family) -> None:
    """Compile the networks, in their place, when they first run."""
    for network in _passed(family):
        network.compile()


def _passed(family: Family) -> list[Any]:
    """The networks that gradients pass: the denoiser, also where text encoders alone are trained."""
    found = {id(network): network for network in (family.denoiser, *family.networks.values())}
    return list(found.values())
