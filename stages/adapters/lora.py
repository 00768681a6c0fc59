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
    return configured


def configured(adapter: Adapter, targets: Sequence[str], **how: Any) -> Any:
    """Peft's configuration of ``adapter`` on ``targets``; ``how`` makes one of LoRA's variants of it, as peft names them."""
    from peft import LoraConfig

    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=list(targets),
        lora_dropout=adapter.dropout,
        **how,
    )
