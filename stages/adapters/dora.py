"""DoRA: m (W + (alpha / r) B A) / ||W + (alpha / r) B A||, the norm by output and not differentiated. Liu et al., arXiv 2402.09353."""

from functools import partial

from stages.adapters import Kind
from stages.adapters.lora import Config, configured

__all__ = ["Config", "build"]


def build(_config: Config) -> Kind:
    """The kind."""
    return partial(configured, use_dora=True)
