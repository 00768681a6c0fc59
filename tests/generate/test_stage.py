import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save

from stages import families, shards, tables
from stages.errors import ModelError, TableError
from stages.generate.stage import Config, run
from stages.images import decode
from stages.records import ADAPTER, BASE, Generation, Plan, Sample


@pytest.fixture
def config():
    def build(**others):
        values = {
            "family": "tiny",
            "base_precision": "fp32",
            "subject_pictures": 6,
            "prior_pictures": 4,
            "max_prompts": 2,
            "checkpoints": 0,
            "size": (16, 16),
        }
        values |= {"steps": 2, "guidance": 2.0, "batch": 4, "seed": 0, "threads": 1, "shard_digits": 1}
        return Config(**(values | others))

    return build


def by_arm(folder, arm):
    return {(row.prompt, row.seed, row.role): row for row in tables.read(folder, Generation) if row.arm == arm}


def test_both_arms_have_the_same_prompts_and_seeds(tiny_generated):
    base, adapter = (by_arm(tiny_generated, arm) for arm in (BASE, ADAPTER))
    assert set(base) == set(adapter)
    assert len(base) == 10
    assert sum(role == "subject" for _, _, role in base) == 6


def test_without_a_held_out_picture_of_the_subject_it_says_so_before_anything_loads(config, tiny_prepared, tmp_path):
    rows = [replace(row, split="train") if row.role == "subject" else row for row in tables.read(tiny_prepared, Sample)]
    tables.write(tmp_path / "prepared", Sample, rows)
    with pytest.raises(TableError, match=r"no picture of the subject is held out.*set prepare.heldout above 0"):
        run(config(), base=tmp_path, prepared=tmp_path / "prepared", trained=tmp_path, out=tmp_path / "out")


def test_the_prompts_are_those_of_heldout_pictures(tiny_prepared, tiny_generated):
    heldout = {(row.text, row.role) for row in tables.read(tiny_prepared, Sample) if row.split == "heldout"}
    assert {(row.prompt, row.role) for row in tables.read(tiny_generated, Generation)} <= heldout


def test_ids_are_unique_and_rows_in_their_order(tiny_generated):
    ids = [row.id for row in tables.read(tiny_generated, Generation)]
    assert len(set(ids)) == len(ids) == 20
    assert ids == sorted(ids)


def test_each_row_owns_the_picture_of_its_prompt_and_seed(tiny_base, tiny_trained, tiny_generated):
    family = families.build("tiny", tiny_base)
    for arm in (BASE, ADAPTER):
        if arm == "adapter":
            family.load_adapter(tiny_trained / "adapter.safetensors")
        for row in list(by_arm(tiny_generated, arm).values())[::3]:
            expected = family.generate([row.prompt], [row.seed], steps=2, guidance=2.0, size=(16, 16))[0]
            found = decode(shards.read(tiny_generated, row.place))
            assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_adapter_draws_something_else(tiny_generated):
    base, adapter = (by_arm(tiny_generated, arm) for arm in (BASE, ADAPTER))
    for key, row in base.items():
        one, other = (decode(shards.read(tiny_generated, each.place)) for each in (row, adapter[key]))
        assert np.abs(one.astype(int) - other).mean() > 1


def test_the_same_run_gives_the_same_bytes(config, tiny_base, tiny_prepared, tiny_trained, tiny_generated, tmp_path):
    report = run(config(), base=tiny_base, prepared=tiny_prepared, trained=tiny_trained, out=tmp_path)
    assert report == {"pictures": 20, "prompts": 4, "arms": 2}
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in tiny_generated.iterdir()
    }


def test_without_a_prior_only_the_subject_is_drawn(config, tiny_base, tiny_prepared, tiny_trained, tmp_path):
    run(
        config(prior_pictures=0, subject_pictures=1),
        base=tiny_base,
        prepared=tiny_prepared,
        trained=tiny_trained,
        out=tmp_path,
    )
    assert [row.role for row in tables.read(tmp_path, Generation)] == ["subject", "subject"]


def test_a_missing_adapter_is_an_error_that_says_what_to_do(config, tiny_base, tiny_prepared, tmp_path):
    with pytest.raises(ModelError, match=r"adapter\.safetensors: there is no adapter; `dvc repro train` makes it"):
        run(config(), base=tiny_base, prepared=tiny_prepared, trained=tmp_path, out=tmp_path / "out")


def scaled(adapter, step):
    """The adapter as it might have been at ``step`` of twelve."""
    with safe_open(adapter, "pt") as file:
        metadata = file.metadata()
    return save({name: value * step / 12 for name, value in load_file(adapter).items()}, metadata=metadata)


def test_checkpoints_draw_the_same_plan_spread_over_the_training(
    config, tiny_base, tiny_prepared, tiny_trained, tiny_generated, tmp_path
):
    trained = shutil.copytree(tiny_trained, tmp_path / "trained")
    (trained / "checkpoints").mkdir()
    for step in (2, 4, 6, 8, 10):
        (trained / "checkpoints" / f"{step:08d}.safetensors").write_bytes(scaled(trained / "adapter.safetensors", step))
    shutil.copy(trained / "adapter.safetensors", trained / "checkpoints" / "00000012.safetensors")  # its end
    how = config(checkpoints=3, subject_pictures=2, prior_pictures=1)
    report = run(how, base=tiny_base, prepared=tiny_prepared, trained=trained, out=tmp_path / "out")
    assert report == {"pictures": 15, "prompts": 3, "arms": 5}
    arms = {arm: by_arm(tmp_path / "out", arm) for arm in ("adapter", *(f"step-{n:08d}" for n in (2, 6, 10)))}
    keys = set(arms["adapter"])
    assert all(set(rows) == keys for rows in arms.values())
    drawn = {arm: shards.read(tmp_path / "out", rows[min(keys)].place) for arm, rows in arms.items()}
    assert len(set(drawn.values())) == 4


def test_the_plan_is_the_same_until_something_asked_changes(config, tiny_base, tiny_prepared, tiny_trained, tmp_path):
    def plan(name, **others):
        how = config(subject_pictures=1, prior_pictures=0, **others)
        run(how, base=tiny_base, prepared=tiny_prepared, trained=tiny_trained, out=tmp_path / name)
        return tables.read(tmp_path / name, Plan)[0]

    first = plan("first")
    assert (first.prompts, first.pictures, first.steps) == (1, 1, 2)
    assert plan("again", batch=1) == first
    assert plan("seed", seed=1).id != first.id
    assert plan("guidance", guidance=3.0).id != first.id
