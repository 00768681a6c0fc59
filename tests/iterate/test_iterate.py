"""The loop over rounds that are made up: what it compares, when it stops, what it says."""

import numpy as np
import pytest
import yaml

from stages import rounds, tables
from stages.errors import DarkroomError
from stages.iterate import __main__ as iterate
from stages.iterate import progress
from stages.records import PictureScore, Request, Sample, Slice, Weight
from stages.shards import Place

HELD = [f"{number:02d}" for number in range(12)]  # the first six lie


def sample(id, split):
    return Sample(
        id=id, frame=id, variant=0, text="", role="subject", split=split, group=id, width=8, height=8, source_width=8,
        source_height=8, crop_left=0, crop_top=0, digest="", weight=1.0, place=Place(shard="", offset=0, size=0),
    )  # fmt: skip


def lying(*, flagged):
    numbers = {"learned": -0.1, "rest": -0.9, "effect": 1.6, "p": 0.001, "q": 0.004}
    return Slice(id="word=lying", samples=tuple(HELD[:6]), groups=6, trained=8, flagged=flagged, **numbers)


def write(data, losses, *, flagged, asked=4):
    """What the stages of a round would leave."""
    tables.write(data / "prepare", Sample, [*(sample(id, "heldout") for id in losses), sample("t", "train")])
    scores = [
        PictureScore(id=f"{arm} {id}", metric="heldout_loss", arm=arm, sample=id, value=value)
        for id, loss in losses.items()
        for arm, value in (("base", 1.0), ("adapter", loss))
    ]
    tables.write(data / "evaluate", PictureScore, scores)
    tables.write(data / "feedback", Slice, [lying(flagged=flagged)])
    request = Request(id="word=lying", words=("lying",), site="", policy="licensed", count=asked)
    tables.write(data / "feedback", Request, [request] if flagged and asked else [])
    tables.write(data / "feedback", Weight, [])


def losses(of_lying, of_rest=0.4):
    noise = np.random.default_rng(0).normal(0, 0.02, len(HELD))
    return {id: (of_lying if id in HELD[:6] else of_rest) * np.exp(noise[int(id)]) for id in HELD}


@pytest.fixture
def looped(tmp_path, monkeypatch, capsys):
    """Run the loop over rounds of given losses; gives what it printed and the overrides of each round."""
    monkeypatch.chdir(tmp_path)
    values = {"feedback": {"metric": "heldout_loss"}, "evaluate": {"resamples": 200, "seed": 0}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))

    def run(made, most=5):
        given = []

        def reproduce(overrides):
            of_lying, flagged, *asked = made[len(given)]
            given.append(list(overrides))
            write(tmp_path / "data", of_lying, flagged=flagged, asked=asked[0] if asked else 4)

        iterate.loop(most, ["+experiment=starved"], reproduce)
        return capsys.readouterr().out, given

    return run


def test_it_goes_on_until_nothing_is_flagged_and_follows_from_the_second_round(looped, tmp_path):
    said, given = looped([(losses(0.9), True), (losses(0.6), True), (losses(0.4), False)])
    assert "stopped after round 3: nothing is flagged" in said
    assert given == [["+experiment=starved"]] + [["+experiment=starved", *iterate.FOLLOW]] * 2
    assert rounds.requests(tmp_path / "data" / "own")[0].count == 8
    assert rounds.heldout(tmp_path / "data" / "own") == set(HELD)


def test_it_says_by_how_much_the_flagged_pictures_and_the_others_changed(looped):
    said, _ = looped([(losses(0.9), True), (losses(0.6), False)])
    assert "x 0.667 (0.667 … 0.667)" in said
    assert "x 1.000 (1.000 … 1.000)" in said
    assert "word=lying (1.60 sd, q 0.0040)" in said


def test_after_three_rounds_it_says_what_they_were_worth_in_all(looped):
    made = [(losses(0.9), True), (losses(0.6), True), (losses(0.45, of_rest=0.8), False)]
    (whole,) = [line for line in looped(made)[0].splitlines() if line.startswith("  all ")]
    assert "x 0.500 (0.500 … 0.500)    x 2.000 (2.000 … 2.000)" in whole
    assert "  all " not in looped(made[:2], most=2)[0]


def test_it_stops_where_nothing_was_gained(looped):
    said, given = looped([(losses(0.9), True), (losses(0.91), True), (losses(0.4), False)])
    assert "stopped after round 2: nothing was gained" in said
    assert len(given) == 2


def test_it_stops_at_the_last_round_and_hands_nothing_over_then(looped, tmp_path):
    said, _ = looped([(losses(0.9), True), (losses(0.6), True)], most=2)
    assert "stopped after round 2: that was the last round" in said
    assert rounds.requests(tmp_path / "data" / "own")[0].count == 4


def test_it_stops_where_there_is_nothing_to_ask_for(looped):
    assert "stopped after round 1: nothing to ask for" in looped([(losses(0.9), True, 0)])[0]


def test_what_was_done_is_said_when_a_round_fails(looped, monkeypatch, capsys, tmp_path):
    def fails(overrides):
        if (tmp_path / "data").exists():
            raise DarkroomError("iterate: no")
        write(tmp_path / "data", losses(0.9), flagged=True)

    with pytest.raises(DarkroomError):
        iterate.loop(3, [], fails)
    assert "word=lying" in capsys.readouterr().out


def test_only_pictures_that_both_rounds_held_out_are_compared(tmp_path):
    write(tmp_path, losses(0.9), flagged=True)
    before = progress.read(tmp_path, "heldout_loss")
    write(tmp_path, losses(0.6) | {"99": 7.0}, flagged=True)
    now = progress.read(tmp_path, "heldout_loss")
    found = progress.gain(before, now, [*progress.behind(before), "99"], resamples=50, seed=0)
    assert found.pictures == 6
    assert found.is_one
    assert progress.gain(before, now, ["00", "99"], resamples=50, seed=0) is None


def test_overrides_that_do_not_compose_are_an_error_of_the_users(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert iterate.main(["--rounds", "1", "+experiment=none-such"]) == 1
    assert "params.yaml could not be composed" in capsys.readouterr().err
