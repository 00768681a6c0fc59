"""Leave the base model as a diffusers folder, from where its family's configuration says."""

from pathlib import Path
from typing import Any

from stages import plugins
from stages.base import schedule
from stages.base.origins import Origin
from stages.config import settings
from stages.records import Report


@settings
class Config:
    """Which base model."""

    train: bool  # train it anew instead of taking the shipped one; only origins that can be trained here
    zero_terminal_snr: bool  # let the noise schedule end in pure noise; only bases that predict v
    origin: dict[str, Any]  # one of ``origins``, and its settings


def run(config: Config, *, shipped: Path, out: Path) -> Report:
    """Put the base model into ``out``; ``shipped`` holds what came with the repository. Reports what it cost.

    Raises:
        ConfigError: when the noise schedule is to end in noise and the base does not predict v.
    """
    origin: Origin = plugins.build("stages.base.origins", config.origin)
    report = origin(shipped, out, train=config.train)
    if config.zero_terminal_snr:
        schedule.end_in_noise(out)
    return report
