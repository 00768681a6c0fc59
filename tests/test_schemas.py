"""That each option of each group fits is in test_pipeline.py; here, that what does not fit is seen."""

import copy

import pytest
import yaml

from stages import params, schemas


@pytest.fixture(scope="module")
def composed():
    return yaml.safe_load(params.composed())


@pytest.fixture
def values(composed):
    return copy.deepcopy(composed)


def test_what_conf_composes_fits(values):
    assert schemas.faults(values) == []
    assert len(schemas.stages()) >= 14


def test_values_that_fit_no_stage_or_no_part_are_named(values):
    values["clean"]["min_side"] = 0
    values["caption"]["captioner"]["title"] = True
    values["measure"]["detector"]["name"] = "none"
    values["train"]["family"] = "sd99"
    title, side, detector, family = schemas.faults(values)
    assert title == "caption.captioner.title: there is no such setting"
    assert side == "clean.min_side: Input should be greater than 0, not 0"
    assert detector.startswith("measure.detector.name: there is no 'none'; there are: centerface, ")
    assert family.startswith("train.family: there is no 'sd99'; there are: flux, ")


def test_a_part_within_a_part_is_looked_at(values):
    inner = {"name": "page", "titles": "yes"}
    values["caption"]["captioner"] = {"name": "ensemble", "captioners": {"page": inner}, "prefer": "page"}
    assert any(line.startswith("caption.captioner.captioners.page.titles: ") for line in schemas.faults(values))


def test_a_section_that_is_missing_or_that_nobody_reads_is_named(values):
    del values["track"]
    values["trian"] = {"rank": 8}
    assert schemas.faults(values) == ["trian: no stage reads this section", "track: the section is missing"]


@pytest.mark.parametrize("section", [None, 3, [1], "x"])
def test_a_section_that_is_no_mapping_is_one_line(values, section):
    values["track"] = section
    (line,) = schemas.faults(values)
    assert line.startswith("track.the section: ")


@pytest.mark.parametrize(
    ("stage", "keys", "part", "package"),
    [
        ("caption", ("captioner",), "page", "stages.caption.captioners"),
        ("measure", ("detector",), "lbp", "stages.detectors"),
        ("measure", ("nsfw",), "labelled", "stages.measure.nsfw"),
        ("anonymise", ("regions", "words", "detector"), "words", "stages.detectors"),
        ("crawl", ("sources", "web"), "web", "stages.crawl.sources"),
        ("crawl", ("sources", "web"), "nope", "stages.crawl.sources"),
        ("clean", ("policy",), "licensed", None),
    ],
)
def test_a_part_is_looked_for_where_its_name_says(stage, keys, part, package):
    assert schemas.package_of(stage, keys, part) == package
