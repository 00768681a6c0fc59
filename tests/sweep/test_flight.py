import shutil

import pytest
import yaml
from dvc.exceptions import DvcException

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
    with pytest.raises(DvcException):
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
