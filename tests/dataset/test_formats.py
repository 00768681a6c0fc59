"""Every way out, read back by the library that it is made for."""

import gc
import hashlib
import io
import json
import re
import tarfile
import warnings
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from stages import plugins
from stages.dataset import entries

FORMATS = ("imagefolder", "kohya", "parquet", "webdataset")


@pytest.fixture(scope="module")
def all_entries(stores):
    return entries.read(stores, variants=False)


@pytest.fixture(scope="module")
def written(stores, all_entries, tmp_path_factory):
    """The folder of each format."""
    folders = {name: tmp_path_factory.mktemp(name) / "out" for name in FORMATS}
    for name, folder in folders.items():
        part(name).write(folder, all_entries, entries.prepared(stores))
    return folders


def part(name):
    return import_module(f"stages.dataset.formats.{name}")


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def loaded(tmp_path, *arguments, **keywords):
    """What ``datasets`` reads, by split."""
    import datasets

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load_dataset(*arguments, cache_dir=str(tmp_path / "cache"), **keywords)


def expected(all_entries, stores, split):
    read = entries.prepared(stores)
    return {entry.text: read(entry) for entry in all_entries if entry.split == split}


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).tolist()


def same_pictures(found, all_entries, stores, split):
    wanted = {text: pixels(png) for text, png in expected(all_entries, stores, split).items()}
    return {row["text"]: np.asarray(row["image"].convert("RGB")).tolist() for row in found[split]} == wanted


def test_these_tests_see_every_format():
    assert tuple(plugins.names("stages.dataset.formats")) == FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_entries_give_the_same_bytes(name, written, stores, all_entries, tmp_path):
    part(name).write(tmp_path / "again", all_entries, entries.prepared(stores))
    assert files(tmp_path / "again") == files(written[name])


@pytest.mark.parametrize("name", FORMATS)
def test_a_split_without_pictures_leaves_no_files_of_it(name, stores, all_entries, tmp_path):
    part(name).write(
        tmp_path / "out", [each for each in all_entries if each.split == "train"], entries.prepared(stores)
    )
    assert files(tmp_path / "out")
    assert not [path for path in files(tmp_path / "out") if "test" in path or "heldout" in path]


def test_datasets_reads_the_imagefolder_with_words_and_rights(written, stores, all_entries, tmp_path):
    found = loaded(tmp_path, "imagefolder", data_dir=str(written["imagefolder"]))
    assert set(found) == {"train", "test"}
    assert all(same_pictures(found, all_entries, stores, split) for split in found)
    rights = {row["id"]: (row["licence"], row["attribution"]) for split in found for row in found[split]}
    assert rights == {entry.id: (entry.licence, entry.attribution) for entry in all_entries}


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib of itself
def test_mlcroissant_reads_every_record_of_the_imagefolder(written, stores, all_entries):
    import mlcroissant

    description = written["imagefolder"] / "croissant.json"
    dataset = mlcroissant.Dataset(description)
    assert not dataset.metadata.issues.errors
    assert json.loads(description.read_bytes())["conformsTo"].endswith("/croissant/1.1")
    for split in ("train", "test"):
        records = list(dataset.records(split))
        found = {row[f"{split}/text"].decode(): np.asarray(row[f"{split}/image"].convert("RGB")) for row in records}
        wanted = expected(all_entries, stores, split)
        assert {text: image.tolist() for text, image in found.items()} == {t: pixels(png) for t, png in wanted.items()}
        assert {row[f"{split}/licence"].decode() for row in records} == {
            entry.licence for entry in all_entries if entry.split == split
        }


def test_croissant_names_the_digest_of_the_file_that_it_describes(written):
    description = json.loads((written["imagefolder"] / "croissant.json").read_bytes())
    objects = [each for each in description["distribution"] if each["@type"] == "cr:FileObject"]
    assert len(objects) == 2
    for each in objects:
        content = (written["imagefolder"] / each["contentUrl"]).read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()


def test_croissants_version_changes_with_the_records(written, stores, all_entries, tmp_path):
    part("imagefolder").write(tmp_path / "out", all_entries[1:], entries.prepared(stores))
    versions = {
        json.loads((folder / "croissant.json").read_bytes())["version"]
        for folder in (written["imagefolder"], tmp_path / "out")
    }
    assert len(versions) == 2


def test_datasets_and_pandas_read_the_parquet(written, stores, all_entries, tmp_path):
    import pandas as pd

    paths = {split: str(written["parquet"] / f"{split}.parquet") for split in ("train", "test")}
    found = loaded(tmp_path, "parquet", data_files=paths)
    assert all(same_pictures(found, all_entries, stores, split) for split in found)
    frame = pd.read_parquet(paths["train"])
    assert set(frame["licence"]) == {entry.licence for entry in all_entries if entry.split == "train"}
    assert frame["redacted"].sum() == 2


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # it leaves its shards open
def test_webdataset_reads_its_shards(written, stores, all_entries):
    import webdataset

    read = entries.prepared(stores)
    for split in ("train", "test"):
        shard = str(written["webdataset"] / f"{split}-000000.tar")
        found = {row["__key__"]: row for row in webdataset.WebDataset(shard, shardshuffle=False)}
        wanted = {entry.id: entry for entry in all_entries if entry.split == split}
        assert set(found) == set(wanted)
        for id, entry in wanted.items():
            assert found[id]["png"] == read(entry)
            assert found[id]["txt"].decode() == entry.text
            assert json.loads(found[id]["json"])["attribution"] == entry.attribution
    gc.collect()


def test_webdataset_shards_hold_no_more_than_they_should(stores, all_entries, tmp_path, monkeypatch):
    monkeypatch.setattr(part("webdataset"), "MOST", 3)
    part("webdataset").write(tmp_path, all_entries, entries.prepared(stores))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["test-000000.tar", "train-000000.tar", "train-000001.tar"]
    with tarfile.open(tmp_path / names[1]) as archive:
        assert len(archive.getnames()) == 9


def test_kohya_finds_repeats_captions_and_the_regularisation_set(written, stores, all_entries):
    read = entries.prepared(stores)
    for below, role in (("img", "subject"), ("reg", "prior")):
        (folder,) = (written["kohya"] / below).iterdir()
        repeats, name = re.fullmatch(r"(\d+)_(\w+)", folder.name).groups()  # as sd-scripts takes a folder's name apart
        assert (repeats, name) == ("1", role)
        wanted = {entry.id: entry for entry in all_entries if entry.role == role and entry.split == "train"}
        assert {path.stem for path in folder.glob("*.png")} == set(wanted)
        for id, entry in wanted.items():
            assert (folder / f"{id}.png").read_bytes() == read(entry)
            assert (folder / f"{id}.txt").read_text().strip() == entry.text


def test_kohya_trains_on_no_heldout_picture(written, all_entries):
    trained = {path.stem for below in ("img", "reg") for path in (written["kohya"] / below).rglob("*.png")}
    assert trained == {entry.id for entry in all_entries if entry.split == "train"}
