import math
import shutil
from dataclasses import replace

import pytest

from stages import shards, tables
from stages.evaluate import by_picture, scores
from stages.evaluate.pictures import Pictures
from stages.evaluate.stage import Config, run
from stages.records import Generation, Point, Sample, Score


@pytest.fixture(scope="module")
def config():
    def build(**others):
        values = {"family": "tiny", "embedder": {"name": "filters"}, "judge": None, "strength": 0.5, "steps": 2}
        values |= {"margin": 0.1, "copy_factor": 0.5, "resamples": 50, "seed": 0, "threads": 1}
        return Config(**(values | others))

    return build


@pytest.fixture(scope="module")
def folders(tiny_base, tiny_upstream, tiny_prepared, tiny_encoded, tiny_trained, tiny_generated):
    named = ("crawled", "frames", "measured", "cleaned", "anonymised")
    return {name: tiny_upstream / name for name in named} | {
        "base": tiny_base,
        "prepared": tiny_prepared,
        "encoded": tiny_encoded,
        "trained": tiny_trained,
        "generated": tiny_generated,
    }


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, config, folders, session_cache):
    out = tmp_path_factory.mktemp("evaluated")
    return out, run(config(), **folders, out=out)


def by_name(out):
    return {score.id: score for score in tables.read(out, Score)}


def test_every_score_of_both_roles_is_there(evaluated):
    assert set(by_name(evaluated[0])) == {
        "heldout_loss",
        "prior_loss",
        "psnr_image_to_image",
        "psnr_round_trip",
        "ssim_image_to_image",
        "ssim_round_trip",
        "fd_filters",
        "fd_prior_filters",
        "copy_rate",
    }


def test_what_is_learned_may_get_better_and_what_is_not_may_be_kept(evaluated):
    for name, score in by_name(evaluated[0]).items():
        allowed = {"kept", "lost", "no evidence"} if "prior" in name else {"better", "worse", "no evidence"}
        assert score.verdict in ({""} if name.endswith("round_trip") else allowed)


def test_the_report_holds_every_number(evaluated):
    out, report = evaluated
    rows = by_name(out)
    assert report["heldout_loss/delta"] == rows["heldout_loss"].delta
    assert "psnr_round_trip/adapter" not in report
    assert all(math.isfinite(number) for number in report.values())
    assert len(report) == 5 * 7 + 3 * 2


def test_the_losses_are_those_of_the_training_curves(evaluated, tiny_trained):
    """Fixed timesteps and fixed noise: here the seeds differ, so they are near and not equal."""
    last = tables.read(tiny_trained, Point)[-1]
    assert by_name(evaluated[0])["heldout_loss"].adapter == pytest.approx(last.heldout_loss, rel=0.3)


def test_the_adapter_changes_the_losses_and_the_pictures(evaluated):
    rows = by_name(evaluated[0])
    for name in ("heldout_loss", "prior_loss", "psnr_image_to_image", "fd_filters"):
        assert rows[name].base != rows[name].adapter


def test_page_and_grid_are_there(evaluated):
    assert (evaluated[0] / "report.html").read_text().startswith("<!doctype html>")
    assert (evaluated[0] / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_bytes(evaluated, config, folders, tmp_path):
    run(config(), **folders, out=tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in evaluated[0].iterdir()
    }


def test_without_a_prior_only_the_subject_is_scored(config, folders, tmp_path):
    prepared = shutil.copytree(folders["prepared"], tmp_path / "prepared")
    generated = shutil.copytree(folders["generated"], tmp_path / "generated")
    tables.write(prepared, Sample, [row for row in tables.read(prepared, Sample) if row.role == "subject"])
    tables.write(generated, Generation, [row for row in tables.read(generated, Generation) if row.role == "subject"])
    run(config(), **(folders | {"prepared": prepared, "generated": generated}), out=tmp_path / "out")
    assert not [name for name in by_name(tmp_path / "out") if "prior" in name]


def test_a_judge_scores_both_roles(config, folders, tmp_path):
    run(config(judge={"name": "digits"}), **folders, out=tmp_path)
    rows = by_name(tmp_path)
    assert rows["judged_right_subject"].base == 0.0  # the prompts ask for no digit
    assert rows["judged_right_subject"].count == 6
    assert rows["judged_right_prior"].better == "higher"


def test_copied_training_pictures_are_found(folders, tmp_path):
    """The adapter's pictures are replaced by training pictures; the base's stay, and are no copies."""
    rows = tables.read(folders["generated"], Generation)
    samples = tables.read(folders["prepared"], Sample)
    known = [row for row in samples if (row.role, row.split) == ("subject", "train")]
    drawn = [row for row in rows if (row.role, row.arm) == ("subject", "adapter")]
    png = {row.id: shards.read(folders["generated"], row.place) for row in rows}
    png |= {row.id: shards.read(folders["prepared"], known[n % 4].place) for n, row in enumerate(drawn)}
    places = shards.write(tmp_path, png, digits=1)
    tables.write(tmp_path, Generation, [replace(row, place=places[row.id]) for row in rows])
    how = scores.Resampling(resamples=50, seed=0)
    opinion = by_picture.Opinion(embedder={"name": "filters"}, judge=None, margin=0.1, copy_factor=0.5, how=how)
    score = by_picture._copied(opinion, Pictures(folders["prepared"], tmp_path))
    assert (score.base, score.adapter, score.verdict) == (0.0, 1.0, "worse")
