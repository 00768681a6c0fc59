"""A search instead of a grid: trials are asked of Optuna, a few at a time, and told what became of them.

The sweeper that Hydra's own repository has needs an Optuna of 2021 and gives up no trial before its end.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import ConfigError
from stages.sweep import jobs, trials
from stages.tables import replace

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a space is searched."""

    trials: int  # in all, those of an earlier start counted
    at_once: int  # asked for together
    seed: int
    directions: Sequence[str]  # "minimize" or "maximize" for each objective
    startup: int  # trials at random before those that were learn from each other
    prune: bool  # whether hopeless trainings are given up
    keep: float  # percent of the trials that go on, at each point of the curves
    warmup: int  # steps of training before any is given up


def run(search: Search, launcher: Any, sweep: Path, overrides: "Sequence[Override]") -> None:
    """Ask, launch and tell until there are as many trials as wanted.

    Raises:
        ConfigError: when an override is of a kind that cannot be searched.
    """
    space, fixed = parsed(overrides)
    replace(sweep / "search.json", json.dumps(asdict(search), default=list).encode())
    study = _study(search, sweep)
    _again(study)
    for trial in study.trials:
        if (outcome := jobs.read(sweep / str(trial.number))) and outcome.status == "untracked":
            launcher.launch([_overrides(trial, fixed)], initial_job_idx=trial.number)
    while (left := search.trials - _counted(study)) > 0:
        asked = [study.ask(space) for _ in range(min(left, search.at_once))]
        returned = launcher.launch([_overrides(trial, fixed) for trial in asked], initial_job_idx=asked[0].number)
        for trial, job in zip(asked, returned, strict=True):
            _tell(study, trial, job, sweep)


def parsed(overrides: "Sequence[Override]") -> "tuple[dict[str, BaseDistribution], list[str]]":
    """The space that ``overrides`` describe, and those of them that are one value.

    ``choice`` and lists are choices, ``range`` is of whole numbers, ``interval`` of numbers, ``int(interval(…))`` of whole ones, ``tag(log, interval(…))``
    on a logarithmic scale.

    Raises:
        ConfigError: for a ``glob``.
    """
    space: dict[str, BaseDistribution] = {}
    fixed = []
    for override in overrides:
        name = override.get_key_element()
        if override.is_sweep_override():
            space[name] = _distribution(name, override)
        else:
            fixed.append(f"{name}={override.get_value_element_as_str()}")
    return space, fixed


def _distribution(name: str, override: "Override") -> "BaseDistribution":
    from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    if isinstance(value, list | ChoiceSweep):
        return CategoricalDistribution([str(each) for each in override.sweep_string_iterator()])
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, RangeSweep) and all(isinstance(each, int) for each in (value.start, value.stop, value.step)):
        last = range(int(value.start), int(value.stop), int(value.step))[-1]  # Hydra leaves the end out
        return IntDistribution(int(value.start), last, log=log, step=int(value.step))
    if isinstance(value, IntervalSweep):
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        return FloatDistribution(float(value.start), float(value.end), log=log)
    raise ConfigError(f"{name}: {override.input_line} cannot be searched; give choice(), range() or interval()")


def _study(search: Search, sweep: Path) -> "Study":
    from optuna.samplers import TPESampler

    sampler = TPESampler(
        seed=search.seed, n_startup_trials=search.startup, multivariate=True, constant_liar=search.at_once > 1
    )
    return trials.opened(sweep, sampler=sampler, directions=list(search.directions))


def _again(study: "Study") -> None:
    """Ask for those again that an earlier start left unfinished: what they computed lies in DVC's cache."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _counted(study: "Study") -> int:
    """Trials that came to an end, or failed by themselves; those that were broken off are asked for again."""
    from optuna.trial import TrialState

    ended = study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
    return sum(trial.state != TrialState.FAIL or "failed" in trial.user_attrs for trial in ended)


def _overrides(trial: "Trial | FrozenTrial", fixed: Sequence[str]) -> list[str]:
    return [*fixed, *(f"{name}={value}" for name, value in trial.params.items())]


def _tell(study: "Study", trial: "Trial", job: Any, sweep: Path) -> None:
    """What became of ``trial``: its values, or that it was given up or failed."""
    from optuna.trial import TrialState

    outcome = jobs.read(sweep / str(trial.number))
    values = _values(job.return_value)
    if outcome is not None and outcome.status in jobs.DONE and all(map(math.isfinite, values)):
        study.tell(trial, list(values))
    elif outcome is not None and outcome.status == "pruned":
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_user_attr("failed", True)
        study.tell(trial, state=TrialState.FAIL)


def _values(returned: float | Sequence[float]) -> Sequence[float]:
    return [returned] if isinstance(returned, float) else returned


def best(sweep: Path) -> list[Mapping[str, Any]]:
    """The settings of the best trials: one, or all that no other beats in every objective."""
    return [trial.params for trial in trials.opened(sweep).best_trials]
