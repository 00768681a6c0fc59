"""LoRA: W + (alpha / r) B A, on linear layers and on convolutions. Hu et al., arXiv 2106.09685."""

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
        )

    return configured
