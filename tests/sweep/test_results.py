import math

import pytest

from stages.sweep import results
from stages.sweep.jobs import Outcome
from stages.sweep.results import Goal

GOAL = Goal(name="evaluate/loss/delta", direction="minimize")
SIZE = Goal(name="train/size", direction="maximize")


def outcome(*overrides, status="finished", loss=None, size=1.0, why=""):
    numbers = (
        {"evaluate/loss/delta": loss, "evaluate/loss/low": loss - 1, "evaluate/loss/high": loss + 1} if loss else {}
    )
    return Outcome(
        status=status, overrides=overrides, numbers={**numbers, "train/size": size} if loss else {}, seconds=30, why=why
    )


JOBS = {
    0: outcome("train.rank=2", "train.lr=0.1", loss=0.5, size=3.0),
    1: outcome("train.rank=4", "train.lr=0.1", status="failed", why="one\ntwo\nthree"),
    2: outcome("train.rank=8", "train.lr=0.1", loss=-0.5, size=9.0),
}


def test_jobs_are_ranked_by_the_objective_and_those_without_it_come_last():
    assert results.ranked(JOBS, GOAL) == [2, 0, 1]
    assert results.ranked(JOBS, Goal(name="evaluate/loss/delta", direction="maximize")) == [0, 2, 1]
    assert math.isinf(GOAL.cost(JOBS[1]))


def test_the_table_names_what_differs_and_why_a_job_failed():
    assert results.table(JOBS, [GOAL]).splitlines() == [
        " job  status    evaluate/loss/delta           settings",
        "   2  finished  -0.5 (-1.5 … 0.5)             rank=8",
        "   0  finished  0.5 (-0.5 … 1.5)              rank=4".replace("4", "2"),
        "   1  failed    –                             rank=4",
        "      two",
        "      three",
        "2 of 3 jobs came to an end, 1.5 minutes in all",
    ]


def test_an_interval_belongs_to_a_difference():
    assert GOAL.span(JOBS[0]) == (-0.5, 1.5)
    assert SIZE.span(JOBS[0]) is None
    assert GOAL.span(JOBS[1]) is None


def test_one_job_alone_is_described_by_all_that_was_given():
    assert results.varied({0: JOBS[0]}) == ["train.rank", "train.lr"]


@pytest.mark.parametrize("goals", [[GOAL], [GOAL, SIZE]])
def test_there_is_a_picture_of_what_has_numbers(goals, tmp_path):
    named = {**JOBS, 3: outcome("family=sdxl", loss=0.1)}
    results.picture(named, goals, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    results.picture({1: JOBS[1]}, goals, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_command_that_applies_a_job_can_be_pasted(tmp_path):
    assert results.command(tmp_path / "a b" / "3").endswith("a b/3'")
