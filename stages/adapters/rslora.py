"""Rank-stabilised LoRA: W + (alpha / sqrt(r)) B A, so that a greater rank is not weaker. Kalajdzievski, arXiv 2312.03732."""

from functools import partial

from stages.adapters import Kind
from stages.adapters.lora import Config, configured

__all__ = ["Config", "build"]


def build(_config: Config) -> Kind:
    """The kind."""
    return partial(configured, use_rslora=True)
