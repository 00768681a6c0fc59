"""Rank-stabilised LoRA: W + (alpha / sqrt(r)) B A, so that a greater rank is not weaker. Kalajdzievski, arXiv 2312.03732."""

from collections.abc import Sequence
from typing import Any

from stages.adapters import Adapter, Kind
from stages.config import settings


@settings
class Config:
    """Nothing but what every adapter has."""


def build(_config: Config) -> Kind:
    """The kind."""

    def configured(adapter: Adapter, targets: Sequence[str]) -> Any:
        from peft import LoraConfig

        return LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            target_modules=list(targets),
            lora_dropout=adapter.dropout,
            use_rslora=True,
        )

    return configured
