"""What a search knows of a training that is under way, and how it gives a hopeless one up.

A job watches its training through a folder: the training appends its held-out losses to ``points.jsonl`` and ends when
it finds a file ``stop``. So the training knows nothing of searches, and the search nothing of trainings.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

JOURNAL = "study.journal"
NAME = "sweep"


def opened(
    sweep: Path, *, sampler: "BaseSampler | None" = None, pruner: "BasePruner | None" = None, **how: Any
) -> "Study":
    """The study that lies in the folder ``sweep``, begun if need be: it survives a restart, and many may write at once."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(sweep / JOURNAL)))
    if how:
        return optuna.create_study(
            study_name=NAME, storage=storage, sampler=sampler, pruner=pruner, load_if_exists=True, **how
        )
    return optuna.load_study(study_name=NAME, storage=storage, sampler=sampler, pruner=pruner)


class Watch:
    """The training of the job in ``folder``, by what it says of itself."""

    def __init__(self, sweep: Path, folder: Path) -> None:
        self._sweep = sweep
        self._folder = folder / "watch"
        self._number = int(folder.name)
        self._seen = 0
        self.given_up = False

    def environment(self) -> dict[str, str]:
        """What the training must know; nothing where nobody would give it up."""
        if not (self._sweep / JOURNAL).is_file():
            return {}
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "stop").unlink(missing_ok=True)
        return {"DARKROOM_WATCH": str(self._folder)}

    def look(self) -> None:
        """Tell the study what is new, and give the training up when it says so."""
        file = self._folder / "points.jsonl"
        if self.given_up or not file.is_file():
            return
        lines = file.read_text(encoding="utf-8").splitlines()
        points = [json.loads(line) for line in lines[self._seen :]]
        self._seen = len(lines)
        if points and self._hopeless(points):
            self.given_up = True
            (self._folder / "stop").touch()

    def _hopeless(self, points: list[dict[str, float]]) -> bool:
        study = pruning(self._sweep)
        if study is None:
            return False
        import optuna

        trial = optuna.trial.Trial(study, study.trials[self._number]._trial_id)  # noqa: SLF001 - as its own integrations
        for point in points:
            trial.report(point["value"], int(point["step"]))
        return bool(trial.should_prune())


def pruning(sweep: Path) -> "Study | None":
    """The study of ``sweep`` with its pruner; none where it has several objectives, of which none alone is hopeless."""
    settings = json.loads((sweep / "search.json").read_bytes())
    if len(settings["directions"]) > 1 or not settings["prune"]:
        return None
    import optuna

    pruner = optuna.pruners.PercentilePruner(
        settings["keep"], n_startup_trials=settings["startup"], n_warmup_steps=settings["warmup"]
    )
    return opened(sweep, pruner=pruner)
