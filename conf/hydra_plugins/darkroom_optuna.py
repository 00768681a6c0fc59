"""``hydra/sweeper=optuna``: Hydra's side of ``stages.sweep.search``.

Hydra finds sweepers in packages of this name alone. Every composition imports this file, so nothing heavy stands here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Optuna(Sweeper):
    """Asks Optuna which settings to try; its arguments are those of conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, *, params: dict[str, str] | None, **how: Any) -> None:
        self._params = params or {}
        self._how = how

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take up what Hydra gives."""
        self._loader = hydra_context.config_loader
        self._sweep = Path(config.hydra.sweep.dir)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._directions = list(config.sweep.directions)

    def sweep(self, arguments: list[str]) -> Any:
        """Search the space of ``arguments`` and of the configuration."""
        from stages.sweep import search

        lines: Sequence[str] = [*(f"{name}={value}" for name, value in self._params.items()), *arguments]
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides(list(lines))
        how = search.Search(directions=self._directions, **self._how)
        return search.run(how, self._launcher, self._sweep, overrides)
