import shutil
import subprocess
import sys

import pytest
import yaml

from stages.sweep import flight

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # within DVC


@pytest.fixture
def fly(toy, tmp_path):
    """Bring the toy project up to date with other values."""
    values = {"rank": 4, "rate": 0.1, "steps": 1, "pause": 0.0}

    def run(*targets, **changes):
        (toy / "params.yaml").write_text(yaml.safe_dump({"train": values | changes}))
        flight.run(toy, tmp_path / "locks", targets)

    return run


def lost(toy, *folders):
    for folder in folders:
        shutil.rmtree(toy / folder)


def entries(toy):
    return yaml.safe_load((toy / "dvc.lock").read_text())["stages"]


def test_what_the_cache_holds_is_fetched_only_where_it_is_needed(fly, toy, ran):
    fly()
    (toy / "data" / "crawl").unlink()
    (toy / "data" / "train").unlink()
    fly()
    assert not (toy / "data" / "crawl").exists()
    fly(rank=5)
    assert (toy / "data" / "crawl").read_text() == "pictures"
    assert ran() == {"crawl": 1, "track": 2, "train": 2}


def test_what_neither_the_cache_nor_the_project_holds_is_made_again(fly, toy, ran):
    fly()
    lost(toy, ".dvc/cache")
    (toy / "data" / "crawl").unlink()
    fly(rank=5)
    assert ran() == {"crawl": 2, "track": 2, "train": 2}


def test_what_went_well_before_a_failure_is_in_the_lock_file(fly, toy, ran):
    with pytest.raises(flight.StageError, match="train"):
        fly(rank=13)
    assert set(entries(toy)) == {"crawl"}
    fly(rank=14)
    assert set(entries(toy)) == {"crawl", "train", "track"}
    assert ran() == {"crawl": 1, "track": 1, "train": 2}


def test_a_stage_that_reads_the_lock_file_finds_what_ran_before_it(fly, toy):
    text = (toy / "dvc.yaml").read_text()
    (toy / "dvc.yaml").write_text(text.replace("toy.py track", "toy.py track && cp dvc.lock seen"))
    fly()
    assert set(yaml.safe_load((toy / "seen").read_text())["stages"]) == {"crawl", "train"}


def test_a_stage_is_named_by_what_it_computes(fly, toy):
    from dvc.repo import Repo

    def keys():
        with Repo(str(toy)) as repo:
            return {stage.name: flight.key(stage) for stage in repo.index.stages}

    fly()
    before = keys()
    (toy / "params.yaml").write_text("train: {rank: 5}\n")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"train"}
    assert len(set(before.values())) == 3


@pytest.mark.parametrize(("target", "code"), [("train", flight.LAST_FAILED), ("track", 1)])
def test_the_exit_code_tells_the_last_target_from_what_comes_before_it(fly, toy, capfd, target, code):
    (toy / "params.yaml").write_text("train: {rank: 13, rate: 0.1, steps: 1, pause: 0.0}\n")
    assert flight.main([str(toy / "locks"), target]) == code
    assert "train: failed to run" in capfd.readouterr().err


def test_the_lock_file_is_what_dvc_writes(fly, toy):
    fly(rank=5)
    fly(rate=1e-05)
    ours = (toy / "dvc.lock").read_bytes()
    (toy / "dvc.lock").unlink()
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False, cwd=toy, capture_output=True, text=True)
    assert done.stdout.count("is cached - skipping run") == 3, done.stderr
    assert (toy / "dvc.lock").read_bytes() == ours
