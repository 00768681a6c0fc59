import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from stages.errors import ConfigError
from stages.sweep import search


def parsed(*lines):
    return search.parsed(OverridesParser.create().parse_overrides(list(lines)))


def test_overrides_become_a_space_and_what_stays_as_it_is():
    space, fixed = parsed(
        "train.rank=choice(4,8)",
        "family=tiny,sd15",
        "train.steps=range(100,500,100)",
        "train.lr=tag(log,interval(1e-4,1e-2))",
        "train.dropout=interval(0.0,0.5)",
        "train.batch=int(interval(1,8))",
        "seed=3",
        "+new=[1,2]",
    )
    assert space == {
        "train.rank": CategoricalDistribution(["4", "8"]),
        "family": CategoricalDistribution(["tiny", "sd15"]),
        "train.steps": IntDistribution(100, 400, step=100),
        "train.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "train.dropout": FloatDistribution(0.0, 0.5),
        "train.batch": IntDistribution(1, 8),
    }
    assert fixed == ["seed=3", "+new=[1,2]"]


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ConfigError, match=r"source: source=glob\(\*\) cannot be searched"):
        parsed("source=glob(*)")


def test_every_end_of_a_trial_is_told(tmp_path):
    import optuna

    from stages.sweep import jobs, trials

    class Returned:
        def __init__(self, value):
            self.return_value = value

    study = trials.opened(tmp_path, directions=["minimize"])
    ends = {"finished": 0.5, "pruned": float("nan"), "failed": float("nan")}
    for number, (status, value) in enumerate(ends.items()):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        (tmp_path / str(number)).mkdir()
        text = f'{{"status": "{status}", "overrides": [], "numbers": {{}}, "seconds": 1, "why": ""}}'
        (tmp_path / str(number) / "outcome.json").write_text(text)
        assert jobs.read(tmp_path / str(number)).status == status
        search._tell(study, trial, Returned(value), tmp_path)
    study.ask({"x": FloatDistribution(0, 1)})  # the machine went down here
    states = [trial.state for trial in study.trials]
    kinds = optuna.trial.TrialState
    assert states == [kinds.COMPLETE, kinds.PRUNED, kinds.FAIL, kinds.RUNNING]
    search._again(study)
    assert search._counted(study) == 3
    assert study.ask({"x": FloatDistribution(0, 1)}).params == study.trials[3].params
