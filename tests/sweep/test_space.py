import pytest

from stages.errors import ConfigError
from stages.params import ROOT
from stages.sweep import space


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train.rnk=4,8"], "train.rnk: there is no such setting; train has: "),
        (["train.rank=4,8,-1"], "train.rank: Input should be greater than 0, not -1"),
        (["train.rank=4,8", "clean.twin_distance=3,4,many"], "clean.twin_distance: .*, not 'many'"),
        (["train.dropout=interval(0.1,1.5)"], "train.dropout: .*, not 1.5"),
        (["family=tiny,giant"], "there is no family 'giant'"),
        (["+sweep=nothing"], "there is no sweep 'nothing'"),
        (["train.rank=choice(4"], r"at input 'choice\(4'"),
        (["train.rank=1,2", "hydra.launcher.n_jbs=2"], "hydra.launcher.n_jbs"),
        (["sweep.objectives=[evaluat/loss]"], "'evaluat/loss' names no stage"),
        (["sweep.directions=[down]"], "give each objective minimize or maximize"),
        (["sweep.objectives=[train/a,train/b]"], "give each objective minimize or maximize"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_first_job(arguments, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ConfigError, match=said):
        space.check(ROOT, ["-m", *arguments])


def test_a_space_that_lies_in_a_file_is_tried_too(toy):
    (toy / "conf" / "sweep").mkdir()
    text = "# @package _global_\nhydra: {sweeper: {params: {train.rnk: 'interval(1,2)'}}}\n"
    (toy / "conf" / "sweep" / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"train\.rnk: there is no such setting; train has: rank, rate"):
        space.check(toy, ["-m", "+sweep=wrong"])


def test_every_value_is_tried_and_not_every_combination(monkeypatch):
    asked = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(space.params, "composed", lambda overrides: asked.append(list(overrides)) or "")
    monkeypatch.setattr(space.params, "checked", lambda text: text)
    space.check(ROOT, ["-m", "hydra/launcher=joblib", "train.rank=1,2,3", "train.seed=1", "train.lr=interval(0.1,0.2)"])
    assert asked[1:] == [
        ["train.rank=1", "train.seed=1", "train.lr=0.1"],
        ["train.rank=2", "train.seed=1", "train.lr=0.2"],
        ["train.rank=3", "train.seed=1", "train.lr=0.2"],
    ]


@pytest.mark.parametrize("numbers", [{}, {"train/loss": 1.0}, {"base/x": 1.0}])
def test_a_number_that_nobody_wrote_is_named_with_those_that_there_are(numbers):
    said = space.unwritten(["train/los", "train/loss"], numbers)
    assert "no stage wrote train/los" in said
    assert ("there are: train/loss" if "train/loss" in numbers else "none of that stage") in said


def test_nothing_is_said_where_every_number_is_there():
    assert space.unwritten(["train/loss"], {"train/loss": 1.0}) == ""
