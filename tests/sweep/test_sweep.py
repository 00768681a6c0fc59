import json
import shutil
import subprocess
import sys

import pytest
from filelock import FileLock

from stages.sweep import __main__ as command
from stages.sweep import jobs


def folder(done, project):
    """The folder of the only sweep that there is."""
    assert done.returncode == 0, done.stdout + done.stderr
    [only] = (project / "multirun").iterdir()
    return only


def contents(project):
    kept = [file for file in project.rglob("*") if file.is_file() and "multirun" not in file.parts]
    return {file: file.read_bytes() for file in kept if ".dvc" not in file.parts}


@pytest.mark.slow
def test_a_grid_computes_once_what_jobs_share_and_a_job_can_become_the_projects_own(sweep, toy, ran):
    before = contents(toy)
    done = sweep("-m", "train.rank=1,2", "train.rate=0.1,0.3")
    where = folder(done, toy)
    assert ran() == {"crawl": 1, "track": 4, "train": 4}
    assert contents(toy) == before
    assert [jobs.read(where / str(number)).status for number in range(4)] == ["finished"] * 4
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:-2])) <= 80
    assert "rank=1 rate=0.3" in next(line for line in lines if "finished" in line)
    assert (where / "sweep.png").read_bytes().startswith(b"\x89PNG")
    (toy / "data" / "reports").mkdir(parents=True)
    (toy / "data" / "reports" / "old.csv").touch()  # a plot of a metric that the job does not have
    applied = sweep("apply", str(where / "3"))
    assert applied.returncode == 0, applied.stderr
    assert [file.name for file in (toy / "data" / "reports").iterdir()] == ["train.json"]
    assert json.loads((toy / "data" / "train").read_text())["rank"] == 2
    repro = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False, cwd=toy, capture_output=True, text=True)
    assert repro.returncode == 0, repro.stderr
    assert ran() == {"crawl": 1, "track": 4, "train": 4}


@pytest.mark.slow
def test_side_by_side_a_failed_job_stops_no_other_and_the_same_sweep_goes_on(sweep, toy, ran):
    asked = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "train.rank=1,13,2")
    done = sweep(*asked)
    where = folder(done, toy)
    assert ran() == {"crawl": 1, "track": 2, "train": 3}
    assert [jobs.read(where / str(number)).status for number in range(3)] == ["finished", "failed", "finished"]
    assert "2 of 3 jobs came to an end" in done.stdout
    shutil.rmtree(where / "0")  # as if it had been killed in its midst
    assert folder(sweep(*asked), toy) == where
    assert ran() == {"crawl": 1, "track": 2, "train": 4}  # the failed one is tried again
    assert jobs.read(where / "0").status == "finished"


@pytest.mark.slow
def test_a_search_gives_up_hopeless_trainings_and_survives_a_restart(sweep, toy, ran):
    asked = ("-m", "hydra/sweeper=optuna", "train.steps=3", "train.pause=1.2", "hydra.sweeper.startup=1")
    where = folder(sweep(*asked, "hydra.sweeper.trials=1"), toy)
    assert folder(sweep(*asked, "hydra.sweeper.trials=4"), toy) == where
    outcomes = [jobs.read(where / str(number)) for number in range(4)]
    assert outcomes[0].status == "finished"
    assert "pruned" in {outcome.status for outcome in outcomes}
    assert ran()["train"] == 4


@pytest.mark.slow
def test_where_only_the_log_was_away_the_numbers_are_kept_and_the_same_sweep_logs_them(sweep, toy, ran, monkeypatch):
    monkeypatch.setenv("TOY_AWAY", "1")
    asked = ("-m", "train.rank=1,13")
    where = folder(sweep(*asked), toy)
    outcome = jobs.read(where / "0")
    assert (outcome.status, outcome.numbers["train/size"]) == ("untracked", 1)
    assert "nobody answers" in outcome.why
    assert jobs.read(where / "1").status == "failed"
    monkeypatch.delenv("TOY_AWAY")
    assert folder(sweep(*asked), toy) == where
    assert jobs.read(where / "0").status == "finished"
    assert ran() == {"crawl": 1, "track": 2, "train": 3}


@pytest.mark.slow
def test_an_objective_that_nobody_writes_ends_the_sweep_after_one_job(sweep, toy, ran):
    done = sweep("-m", "train.rank=1,2,3", "sweep.objectives=[train/los/delta]")
    assert done.returncode == 1
    assert "no stage wrote train/los/delta; there are: train/loss/delta, train/loss/high" in done.stderr
    assert ran() == {"crawl": 1, "track": 1, "train": 1}


def test_the_same_sweep_does_not_run_twice_at_once(toy, capsys):
    asked = ["-m", "train.rank=1,2"]
    where = toy / "multirun" / command.name(toy, asked)
    where.mkdir(parents=True)
    with FileLock(where / "running.lock"):
        assert command.main(asked) == 1
    assert "the same sweep is running already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "python -m stages.sweep -m"), (("apply", "nowhere"), "give one folder below multirun/")],
)
def test_what_cannot_be_done_is_said(arguments, said, capsys):
    assert command.main(arguments) == 1
    assert said in capsys.readouterr().err


def test_what_is_no_finished_job_cannot_be_applied(tmp_path, capsys):
    assert command.main(["apply", str(tmp_path)]) == 1
    assert "is no finished job" in capsys.readouterr().err


def test_how_hydra_goes_about_it_makes_no_other_sweep(toy):
    name = command.name(toy, ["-m", "train.rank=1,2"])
    assert command.name(toy, ["-m", "hydra/launcher=joblib", "train.rank=1,2", "hydra.launcher.n_jobs=9"]) == name
    both = [command.name(toy, ["-m", *order]) for order in (["a=1,2", "b=3,4"], ["b=3,4", "a=1,2"])]
    assert both[0] != both[1]  # by which Hydra numbers the jobs
    assert command.name(toy, ["-m", "train.rank=1,2", "hydra.sweeper.params.a=range(3)"]) != name
    assert command.name(toy, ["-m", "train.rank=1,3"]) != name
    (toy / "toy.py").write_text("changed")
    assert command.name(toy, ["-m", "train.rank=1,2"]) != name
