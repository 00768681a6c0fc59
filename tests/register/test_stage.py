import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages import families, tables, tracking, versions
from stages.errors import TableError
from stages.images import decode
from stages.records import PictureScore, Reading, Receipt, Recommendation, Ruling, Sample, Score
from stages.register.gate import Gate
from stages.register.stage import CARD, DATA, Config, run

FILES = ("adapter.safetensors", "adapter.kohya.safetensors", "inspect.txt", "score.jsonl", "reading.jsonl")


def score(id, verdict):
    numbers = {"base": 1.0, "adapter": 0.5, "delta": -0.5, "low": -0.6, "high": -0.4}
    numbers |= {"metric": id, "arm": "adapter", "clusters": 3, "unit": "group", "definition": "0" * 16}
    return Score(id=id, **numbers, count=3, better="lower", verdict=verdict)


def config(**others):
    asked = {"metric": "heldout_loss", "kept": ("prior_loss",), "ceilings": {"copy_rate": 0.6}, "in_house": False}
    asked |= {name: others.pop(name) for name in list(others) if name in asked}
    values = {"experiment": "one", "name": "coins-lora", "promote": False}
    values |= {"gate": Gate(**asked, resamples=100, seed=0)}
    values |= {
        "family": "tiny",
        "base_precision": "fp32",
        "subject": "coins",
        "base_name": "Tiny",
        "base_licence": "Apache-2.0",
    }
    values |= {"restricted": "mark", "embed_base_mb": 64, "size": (16, 16), "steps": 2, "guidance": 2.0}
    return Config(**(values | others))


@pytest.fixture
def folders(tmp_path, tiny_base, tiny_upstream, tiny_prepared, tiny_exported):
    outs = "".join(f"    - {{path: {path}, md5: {number}a.dir}}\n" for number, path in enumerate(DATA))
    (tmp_path / "dvc.lock").write_text(f"stages:\n  train:\n    cmd: train\n    outs:\n{outs}")
    verdicts = {"heldout_loss": "better", "prior_loss": "kept", "copy_rate": "no evidence"}
    tables.write(tmp_path / "evaluated", Score, [score(id, verdict) for id, verdict in verdicts.items()])
    chosen = Recommendation(id="adapter", reason="heldout_loss 0.5, the best of 1")
    tables.write(tmp_path / "evaluated", Recommendation, [chosen])
    seen = [(arm, each.id) for arm in ("base", "adapter") for each in tables.read(tiny_prepared, Sample)]
    values = [
        PictureScore(id=f"heldout_loss {arm} {id}", metric="heldout_loss", arm=arm, sample=id, value=0.5)
        for arm, id in seen
    ]
    tables.write(tmp_path / "evaluated", PictureScore, values)
    result = tracking.read_lock(tmp_path / "dvc.lock").result
    tables.write(tmp_path / "tracked", Receipt, [Receipt(id=result, what="tracked")])
    return {
        "lock": tmp_path / "dvc.lock",
        "base": tiny_base,
        "crawled": tiny_upstream / "crawled",
        "frames": tiny_upstream / "frames",
        "cleaned": tiny_upstream / "cleaned",
        "prepared": tiny_prepared,
        "exported": tiny_exported,
        "evaluated": tmp_path / "evaluated",
        "tracked": tmp_path / "tracked",
    }


@pytest.fixture
def tracked(mlflow_client, folders):
    """The run that a version belongs to."""
    nothing = tracking.Logged(metrics={}, curves={}, files=[], pictures={}, samples={}, datasets=[], training="")
    tracking.log_result(tracking.read_lock(folders["lock"]), "one", nothing)
    return mlflow_client


def registered(client):
    return client.search_model_versions("name='coins-lora'")


def test_what_was_judged_by_single_pictures_brings_their_values(tracked, folders, tmp_path, tiny_prepared):
    run(config(embed_base_mb=0), **folders, out=tmp_path / "out")
    version = versions.get("coins-lora", 1)
    readings = versions.rows(version, Reading)
    subject = [each.id for each in tables.read(tiny_prepared, Sample) if each.role == "subject"]
    assert [each.id for each in readings] == sorted(subject)
    assert {(each.metric, each.definition, each.value) for each in readings} == {("heldout_loss", "0" * 16, 0.5)}
    assert {each.id for each in versions.rows(version, Score)} == {"heldout_loss", "prior_loss", "copy_rate"}


def test_what_passes_becomes_champion_at_once_where_that_is_wanted(tracked, folders, tmp_path):
    run(config(embed_base_mb=0, promote=True), **folders, out=tmp_path / "out")
    assert tracked.get_registered_model("coins-lora").aliases == {"champion": 1}
    said = versions.get("coins-lora", 1)
    assert said.tags["promoted"] == "by the gate"
    assert said.description.endswith("It became champion, by the gate.\n")
    run(config(embed_base_mb=0, promote=True), **folders, out=tmp_path / "again")
    assert versions.get("coins-lora", 1) == said


def test_what_leaves_a_condition_open_is_a_candidate_and_no_champion(tracked, folders, tmp_path):
    run(config(embed_base_mb=0, promote=True, kept=("drift",)), **folders, out=tmp_path / "out")
    assert tracked.get_registered_model("coins-lora").aliases == {"candidate": 1}
    assert "- open: drift was not measured\n" in versions.get("coins-lora", 1).description


def test_what_passes_the_gate_is_a_version_with_alias_tags_signature_and_card(tracked, folders, tmp_path):
    import mlflow

    assert run(config(), **folders, out=tmp_path / "out") == {"registered": 1}
    version = tracked.get_model_version_by_alias("coins-lora", "candidate")
    lock = tracking.read_lock(folders["lock"])
    assert version.tags == {
        "arm": "adapter",
        "heldout_loss": "0.5 (-0.6 … -0.4)",
        "gate": "met",
        "gate.champion": "none",
        "gate.findings": "met: heldout_loss 0.5 (-0.6 … -0.4) against the base: better; "
        "met: prior_loss 0.5 (-0.6 … -0.4) against the base: kept; met: copy_rate 0.5, at most 0.6; "
        "met: may be published and sold",
        tracking.RESULT: lock.result,
        "dvc.lock": lock.digest,
        "mlflow.source.name": "dvc repro",
        "mlflow.source.type": "LOCAL",
        "policy": "studio",
        "policy.sha256": "5" * 64,
        "use": "commercial, published",
        **{f"data.{path}": f"{number}a.dir" for number, path in enumerate(DATA)},
    }
    text = (tmp_path / "out" / CARD).read_text()
    assert version.description == text + versions.SECTION + (
        "\nWhat it must show to become champion; the champion then: none.\n\n"
        "- met: heldout_loss 0.5 (-0.6 … -0.4) against the base: better\n"
        "- met: prior_loss 0.5 (-0.6 … -0.4) against the base: kept\n"
        "- met: copy_rate 0.5, at most 0.6\n- met: may be published and sold\n\nIt is not champion.\n"
    )
    assert tracked.get_registered_model("coins-lora").aliases == {"candidate": version.version}
    assert "| heldout_loss | 1 | 0.5 | -0.5 |" in text
    signature = mlflow.models.get_model_info("models:/coins-lora@candidate").signature
    assert signature.inputs.input_names() == ["prompt"]
    assert [each.name for each in signature.params.params] == ["seed"]
    (run_of,) = tracked.search_runs([tracked.get_experiment_by_name("one").experiment_id])
    assert version.run_id == run_of.info.run_id

    # Registering again changes nothing: the version is there.
    assert run(config(), **folders, out=tmp_path / "again") == {"registered": 1}
    assert len(registered(tracked)) == 1
    receipts = [(tmp_path / name / "receipt.jsonl").read_bytes() for name in ("out", "again")]
    assert receipts[0] == receipts[1]
    assert tables.read(tmp_path / "out", Receipt) == [Receipt(id=lock.result, what="coins-lora")]

    # The loaded model draws what the family draws with the adapter, and the same twice.
    model = mlflow.pyfunc.load_model("models:/coins-lora@candidate")
    rows = [{"prompt": "a photo of coins"}, {"prompt": "a cat"}]
    answer = model.predict(rows, params={"seed": 7})
    assert answer == model.predict(rows, params={"seed": 7})
    assert answer != model.predict(rows, params={"seed": 8})
    family = families.build("tiny", folders["base"])
    family.load_adapter(folders["exported"] / "adapter.safetensors")
    expected = family.generate(["a photo of coins"], [7], steps=2, guidance=2.0, size=(16, 16))[0]
    assert np.array_equal(decode(base64.b64decode(answer[0])), expected)


@pytest.mark.parametrize(("embed_base_mb", "held"), [(64, {*FILES, CARD, "base"}), (0, {*FILES, CARD})])
def test_a_base_goes_into_the_version_when_it_is_small(tracked, folders, tmp_path, embed_base_mb, held):
    import mlflow

    run(config(embed_base_mb=embed_base_mb), **folders, out=tmp_path / "out")
    where = mlflow.artifacts.download_artifacts("models:/coins-lora@candidate", dst_path=str(tmp_path / "version"))
    assert {path.name for path in (Path(where) / "artifacts").iterdir()} == held
    assert not list(Path(where).rglob("*.pkl"))
    model = mlflow.pyfunc.load_model(where)
    assert len(model.predict([{"prompt": "a"}])) == 1


@pytest.fixture
def restricted(folders, tmp_path, tiny_ruling):
    """The folders, with pictures chosen by a policy that lets nobody publish or sell."""
    ruling = replace(tiny_ruling, id="6" * 64, policy="research", publish=False, commercial=False)
    tables.write(tmp_path / "restricted", Ruling, [ruling])
    return folders | {"cleaned": tmp_path / "restricted"}


def test_what_must_not_be_published_is_tagged_and_has_no_alias(tracked, restricted, folders, tmp_path, caplog):
    small = config(embed_base_mb=0)
    run(small, **restricted, out=tmp_path / "out")
    (version,) = registered(tracked)
    assert (version.tags["policy"], version.tags["policy.sha256"]) == ("research", "6" * 64)
    assert version.tags["restricted"] == "not for publication, not commercial"
    assert version.tags["use"] == "not commercial, not published"
    assert "**Not for publication and not commercial**" in version.description
    assert tracked.get_registered_model("coins-lora").aliases == {}
    assert "not for publication, not commercial, says the policy research" in caplog.text

    # The same result by a policy that lets it go is another version, and that one gets the alias.
    run(small, **folders, out=tmp_path / "again")
    assert len(registered(tracked)) == 2
    free = tracked.get_model_version_by_alias("coins-lora", "candidate")
    assert free.version != version.version
    assert "restricted" not in free.tags

    # What a version says of consents is that of today.
    tables.write(folders["evaluated"], Score, [score("heldout_loss", "better")])
    run(small, **folders, out=tmp_path / "third")
    assert len(registered(tracked)) == 2
    described = tracked.get_model_version("coins-lora", free.version).description
    card, section, _ = described.partition(versions.SECTION)
    assert section
    assert card == (tmp_path / "third" / CARD).read_text() != free.description.partition(versions.SECTION)[0]


def test_what_stays_in_the_house_is_champion_where_the_gate_takes_such(tracked, restricted, tmp_path):
    run(config(embed_base_mb=0, promote=True, in_house=True), **restricted, out=tmp_path / "out")
    assert tracked.get_registered_model("coins-lora").aliases == {"champion": 1}
    assert "- met: is not for publication, not commercial\n" in versions.get("coins-lora", 1).description


def test_what_must_not_be_published_is_refused_where_one_wants_that(tracked, restricted, tmp_path, caplog):
    caplog.set_level("INFO")
    assert run(config(restricted="refuse"), **restricted, out=tmp_path / "out") == {"registered": 0}
    assert registered(tracked) == []
    assert "a policy for every use, and research is not for publication" in caplog.text


def test_what_fails_the_gate_is_not_registered_and_has_its_card(tracked, folders, tmp_path, caplog):
    caplog.set_level("INFO")
    assert run(config(ceilings={"copy_rate": 0.4}), **folders, out=tmp_path / "out") == {"registered": 0}
    assert registered(tracked) == []
    assert "not registered: copy_rate 0.5, at most 0.4" in caplog.text
    assert (tmp_path / "out" / CARD).is_file()
    assert [receipt.what for receipt in tables.read(tmp_path / "out", Receipt)] == [""]


def test_what_changed_since_and_changed_no_score_does_not_keep_the_result_out(tracked, folders, tmp_path):
    """A consent is added: crawl leaves another table, evaluate the same scores, so ``track`` has nothing to do."""
    before = tracking.read_lock(folders["lock"]).result
    text = folders["lock"].read_text()
    folders["lock"].write_text(text.replace("0a.dir", "ff.dir"))
    assert tracking.read_lock(folders["lock"]).result != before
    assert run(config(embed_base_mb=0), **folders, out=tmp_path / "out") == {"registered": 1}
    (version,) = registered(tracked)
    assert version.tags[tracking.RESULT] == before


def test_a_result_that_was_not_tracked_cannot_be_registered(mlflow_client, folders, tmp_path):
    with pytest.raises(TableError, match="MLflow has no run of result"):
        run(config(), **folders, out=tmp_path / "out")


@pytest.mark.parametrize("name", ["Coins", "coins lora", "", "-coins", "coins'; drop"])
def test_a_name_that_a_registry_would_not_take_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        config(name=name)
