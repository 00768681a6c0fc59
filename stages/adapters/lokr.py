"""LoKr: W + (alpha / r) A (x) B, a Kronecker product whose second factor has the rank r. Yeh et al., arXiv 2309.14859 (LyCORIS)."""

from collections.abc import Sequence
from typing import Any

from stages.adapters import Adapter, Kind
from stages.config import settings


@settings
class Config:
    """What it has beside what every adapter has."""

    factor: int  # how finely a side is divided between the two; -1 is as evenly as it can be
    decompose_both: bool  # also the first factor has the rank


def build(config: Config) -> Kind:
    """The kind. Its dropout leaves out whole layers: peft has no other for it."""

    def configured(adapter: Adapter, targets: Sequence[str]) -> Any:
        from peft import LoKrConfig

        return LoKrConfig(
            r=adapter.rank,
            alpha=adapter.alpha,
            target_modules=list(targets),
            module_dropout=adapter.dropout,
            decompose_factor=config.factor,
            decompose_both=config.decompose_both,
        )

    return configured
