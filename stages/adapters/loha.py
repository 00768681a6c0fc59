"""LoHa: W + (alpha / r) (A B) * (C D), an elementwise product of rank r squared. Hyeon-Woo et al., arXiv 2108.06098."""

from collections.abc import Sequence
from typing import Any

from stages.adapters import Adapter, Kind
from stages.config import settings


@settings
class Config:
    """What it has beside what every adapter has."""

    effective_conv2d: bool  # a convolution's products are made along its sides, not of its weights laid flat


def build(config: Config) -> Kind:
    """The kind. Its dropout leaves out whole layers: peft has no other for it."""

    def configured(adapter: Adapter, targets: Sequence[str]) -> Any:
        from peft import LoHaConfig

        return LoHaConfig(
            r=adapter.rank,
            alpha=adapter.alpha,
            target_modules=list(targets),
            module_dropout=adapter.dropout,
            use_effective_conv2d=config.effective_conv2d,
        )

    return configured
