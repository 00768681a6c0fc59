import math
import shutil
from dataclasses import replace

import pytest

from stages import plugins, shards, tables
from stages.evaluate.evidence import Evidence, Models
from stages.evaluate.pictures import Pictures
from stages.evaluate.recommendation import Preference
from stages.evaluate.scores import Resampling
from stages.evaluate.stage import Config, run
from stages.records import Confusion, Generation, PictureScore, Point, Recommendation, Sample, Score

PARTS = {
    "heldout_loss": {"margin": 0.1},
    "image_to_image": {"strength": 0.5, "steps": 2},
    "round_trip": {},
    "frechet": {"margin": 0.1},
    "kid": {},
    "cmmd": {},
    "neighbours": {"neighbours": 2},
    "diversity": {},
    "drift": {},
    "copy_rate": {"factor": 0.5},
    "similarity": {},
    "loss_by_level": {},
}
LEVELS = [f"heldout_loss_{level:02}" for level in range(5, 100, 10)]
WITH_MODELS = {"judged", "clip_t", "lpips"}  # tested by themselves
BASE_ALONE = {
    *("psnr_round_trip", "ssim_round_trip", "fd_filters_null", "fd_prior_filters_null", "similarity_filters_ceiling")
}
COMPARED = {
    *("heldout_loss", "prior_loss", "psnr_image_to_image", "ssim_image_to_image", "fd_filters", "fd_prior_filters"),
    *("kid_filters", "cmmd_filters", "precision_filters", "recall_filters", "density_filters", "coverage_filters"),
    *("diversity_filters", "drift_filters", "copy_rate", "similarity_filters"),
    *LEVELS,
}


@pytest.fixture(scope="module")
def config():
    def build(**others):
        recommend = Preference(metric="heldout_loss", by="heldout_loss", keep=("prior_loss",), ceilings={})
        values = {
            "family": "tiny",
            "base_precision": "fp32",
            "embedders": {"filters": {"name": "filters"}},
            "recommend": recommend,
        }
        values |= {"metrics": {name: {"name": name, **settings} for name, settings in PARTS.items()}}
        values |= {"resamples": 50, "seed": 0, "threads": 1}
        return Config(**(values | others))

    return build


def test_other_pixels_words_or_noise_define_another_number(folders, tmp_path):
    plain = Pictures(folders["prepared"], folders["generated"])
    rows = tables.read(folders["prepared"], Sample)
    digests = {plain.references}
    for number, change in enumerate(({"text": "of another kind"}, {"digest": "0" * 64})):
        folder = tmp_path / str(number)
        tables.write(folder, Sample, [replace(row, **change) if row.split == "heldout" else row for row in rows])
        digests.add(Pictures(folder, folders["generated"]).references)
    assert len(digests) == 3
    tables.write(tmp_path, Sample, [replace(row, text="") if row.split == "train" else row for row in rows])
    assert Pictures(tmp_path, folders["generated"]).references == plain.references
    definitions = {
        Evidence(plain, None, None, {}, Resampling(resamples=5, seed=seed))
        .question("m", "adapter", "lower", by={})
        .definition
        for seed in (0, 1)
    }
    assert len(definitions) == 2


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


def test_every_metric_is_asked_here():
    assert set(PARTS) == set(plugins.names("stages.evaluate.metrics")) - WITH_MODELS


def test_every_score_of_both_roles_is_there(evaluated):
    assert set(by_name(evaluated[0])) == BASE_ALONE | COMPARED


def test_what_is_learned_may_get_better_and_what_is_not_may_be_kept(evaluated):
    for name, score in by_name(evaluated[0]).items():
        allowed = {"kept", "lost", "no evidence"} if "prior" in name else {"better", "worse", "no evidence"}
        assert score.verdict in ({""} if name in BASE_ALONE else allowed)


def test_the_report_holds_every_number(evaluated):
    out, report = evaluated
    rows = by_name(out)
    assert report["heldout_loss/delta"] == rows["heldout_loss"].delta
    assert "psnr_round_trip/adapter" not in report
    assert all(math.isfinite(number) for number in report.values())
    landmarks = 3  # with no interval
    assert len(report) == 5 * len(COMPARED) + 3 * 2 + landmarks


def test_the_losses_are_those_of_the_training_curves(evaluated, tiny_trained):
    """Fixed timesteps and fixed noise: here the seeds differ, so they are near and not equal."""
    last = tables.read(tiny_trained, Point)[-1]
    assert by_name(evaluated[0])["heldout_loss"].adapter == pytest.approx(last.heldout_loss, rel=0.3)


def test_the_adapter_changes_the_losses_and_the_pictures(evaluated):
    rows = by_name(evaluated[0])
    for name in ("heldout_loss", "prior_loss", "psnr_image_to_image", "fd_filters", "kid_filters"):
        assert rows[name].base != rows[name].adapter
    assert rows["drift_filters"].base == 0 < rows["drift_filters"].low


def test_each_heldout_picture_has_its_loss_by_each_arm(evaluated, tiny_prepared):
    rows = tables.read(evaluated[0], PictureScore)
    roles = {sample.id: sample.role for sample in tables.read(tiny_prepared, Sample) if sample.split == "heldout"}
    assert {(row.arm, row.sample) for row in rows} == {(arm, id) for arm in ("base", "adapter") for id in roles}
    subject = [row.value for row in rows if row.arm == "adapter" and roles[row.sample] == "subject"]
    assert by_name(evaluated[0])["heldout_loss"].adapter == pytest.approx(sum(subject) / len(subject))


def test_the_loss_is_the_mean_of_those_at_each_level(evaluated):
    rows = by_name(evaluated[0])
    for arm in ("base", "adapter"):
        at_levels = [getattr(rows[name], arm) for name in LEVELS]
        assert len(set(at_levels)) == 10
        assert sum(at_levels) / 10 == pytest.approx(getattr(rows["heldout_loss"], arm))


def test_few_prompts_are_said_to_be_few(evaluated):
    rows = by_name(evaluated[0])
    assert rows["fd_filters"].unit == "picture"
    assert rows["heldout_loss"].unit == "group"


def test_page_and_grid_are_there(evaluated):
    assert (evaluated[0] / "report.html").read_text().startswith("<!doctype html>")
    assert (evaluated[0] / "plots" / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_bytes(evaluated, config, folders, tmp_path):
    run(config(), **folders, out=tmp_path)
    again, before = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (tmp_path, evaluated[0])
    )
    assert again == before
    assert len(again) == 6 + len(COMPARED)


def test_without_a_prior_only_the_subject_is_scored(config, folders, tmp_path):
    prepared = shutil.copytree(folders["prepared"], tmp_path / "prepared")
    generated = shutil.copytree(folders["generated"], tmp_path / "generated")
    tables.write(prepared, Sample, [row for row in tables.read(prepared, Sample) if row.role == "subject"])
    tables.write(generated, Generation, [row for row in tables.read(generated, Generation) if row.role == "subject"])
    run(config(), **(folders | {"prepared": prepared, "generated": generated}), out=tmp_path / "out")
    left = by_name(tmp_path / "out")
    assert set(left) == {name for name in BASE_ALONE | COMPARED if "prior" not in name and "drift" not in name}


def test_a_judge_scores_both_roles(config, folders, tmp_path):
    judged = {"judged": {"name": "judged", "judge": {"name": "digits"}, "margin": 0.1}}
    preference = Preference(metric="judged", by="judged_right_subject", keep=(), ceilings={})
    run(config(metrics=judged, recommend=preference), **folders, out=tmp_path)
    rows = by_name(tmp_path)
    assert set(rows) == {"judged_right_subject", "judged_right_prior"}
    assert rows["judged_right_subject"].count == 6
    assert rows["judged_right_prior"].better == "higher"
    assert tables.read(tmp_path, Confusion) == []  # no prompt names a digit


def test_models_that_see_and_read_score_both_roles(config, folders, eyes, tmp_path):
    weights = {name: {"repo": "nobody/nothing", "revision": "0" * 40, "folder": str(eyes[name])} for name in eyes}
    embedders = {name: {"name": name, "weights": weights[name]} for name in eyes}
    metrics = {
        "clip_t": {"name": "clip_t", "embedder": "clip", "margin": 0.1},
        "similarity": {"name": "similarity"},
        "frechet": {"name": "frechet", "margin": 0.1},
    }
    preference = Preference(metric="similarity", by="dino_i", keep=("retention",), ceilings={})
    run(config(embedders=embedders, metrics=metrics, recommend=preference), **folders, out=tmp_path)
    rows = by_name(tmp_path)
    assert {"clip_t", "clip_t_cut", "retention", "clip_i", "clip_i_ceiling", "dino_i", "fd_dinov2"} <= set(rows)
    assert rows["clip_t"].count == 6
    assert rows["clip_t_cut"].base == 0
    for name in ("clip_t", "retention", "clip_i", "dino_i"):
        assert -1 <= rows[name].base != rows[name].adapter <= 1
    assert rows["clip_i"].definition != rows["dino_i"].definition


@pytest.fixture
def checkpoints(folders, tmp_path):
    """Two checkpoints: one is the adapter as it ended, one is no better than the base, its weights being zero."""
    from safetensors.torch import load_file, save_file

    trained = shutil.copytree(folders["trained"], tmp_path / "trained")
    (trained / "checkpoints").mkdir()
    adapter = trained / "adapter.safetensors"
    shutil.copy(adapter, trained / "checkpoints" / "00000008.safetensors")
    metadata = _metadata(adapter)
    nothing = {name: value * 0 for name, value in load_file(adapter).items()}
    save_file(nothing, trained / "checkpoints" / "00000004.safetensors", metadata=metadata)
    rows = tables.read(folders["generated"], Generation)
    generated = shutil.copytree(folders["generated"], tmp_path / "generated")
    arms = {"step-00000004": "base", "step-00000008": "adapter"}
    more = [
        replace(row, arm=arm, id=f"{number}{row.id[1:]}")
        for number, (arm, like) in enumerate(arms.items())
        for row in rows
        if row.arm == like
    ]
    tables.write(generated, Generation, [*rows, *more])
    return folders | {"trained": trained, "generated": generated}


def _metadata(file):
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return opened.metadata()


def test_every_checkpoint_is_scored_and_the_earliest_of_equals_recommended(config, checkpoints, tmp_path):
    report = run(config(), **checkpoints, out=tmp_path / "out")
    rows = by_name(tmp_path / "out")
    assert not [name for name in report if "@" in name]  # `dvc metrics diff` shows the adapter alone
    for name in COMPARED:
        lines = (tmp_path / "out" / "plots" / "checkpoints" / f"{name}.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["step", "0", "4", "8", "12"]
        assert rows[f"{name}@step-00000008"].delta == rows[name].delta
        assert rows[f"{name}@step-00000004"].delta == pytest.approx(0, abs=1e-9)
        assert rows[f"{name}@step-00000008"].definition == rows[name].definition
    [chosen] = tables.read(tmp_path / "out", Recommendation)
    worse = rows["heldout_loss"].verdict == "worse"
    assert chosen.id == ("step-00000004" if worse or rows["heldout_loss"].verdict == "no evidence" else "step-00000008")
    assert chosen.reason.startswith("heldout_loss ")


def test_others_may_be_compared_with_any_arm(checkpoints):
    pictures = Pictures(checkpoints["prepared"], checkpoints["generated"])
    models = Models(family="tiny", precision="fp32", base=checkpoints["base"], trained=checkpoints["trained"])
    evidence = Evidence(pictures, models, checkpoints["encoded"], {}, Resampling(resamples=20, seed=0))
    assert evidence.adapters == ["adapter", "step-00000004", "step-00000008"]
    view = evidence.against("step-00000004")
    assert (view.base, view.adapters) == ("step-00000004", ["adapter", "step-00000008"])
    loss = plugins.build("stages.evaluate.metrics", {"name": "heldout_loss", "margin": 0.1})
    rows = {score.id: score for score in loss(view)}
    assert rows["heldout_loss"].delta == rows["heldout_loss@step-00000008"].delta != 0


def test_copied_training_pictures_are_found(folders, tmp_path):
    """The adapter's pictures are replaced by training pictures; the base's stay, and are no copies."""
    rows = tables.read(folders["generated"], Generation)
    samples = tables.read(folders["prepared"], Sample)
    known = [row for row in samples if (row.role, row.split) == ("subject", "train")]
    drawn = [row for row in rows if (row.role, row.arm) == ("subject", "adapter")]
    png = {row.id: shards.read(folders["generated"], row.place) for row in rows}
    png |= {row.id: shards.read(folders["prepared"], known[n % 4].place) for n, row in enumerate(drawn)}
    generated = shutil.copytree(folders["generated"], tmp_path / "generated")
    places = shards.write(generated, png, digits=1)
    tables.write(generated, Generation, [replace(row, place=places[row.id]) for row in rows])
    models = Models(family="tiny", precision="fp32", base=folders["base"], trained=folders["trained"])
    pictures = Pictures(folders["prepared"], generated)
    evidence = Evidence(pictures, models, folders["encoded"], {}, Resampling(resamples=50, seed=0))
    [score] = plugins.build("stages.evaluate.metrics", {"name": "copy_rate", "factor": 0.5})(evidence)
    assert (score.base, score.adapter, score.verdict) == (0.0, 1.0, "worse")
