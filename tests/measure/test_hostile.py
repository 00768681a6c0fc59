"""A small run of ``benchmarks/pictures.py``: whatever strangers send ends as a row, and this process lives."""

import hashlib
import importlib.util
from pathlib import Path

import pytest

from stages.records import Failure, Quality

FILE = Path(__file__).parent.parent.parent / "benchmarks" / "pictures.py"
SOUND = {"TIFF with flipped bits", "BMP with flipped bits", "PNG of 8000 x 8000 zeros", "JPEG with 20,000 scans"}
SOUND |= {"PNG with a profile of garbage", "PNG with 10,000 chunks", "a JPEG with a page behind it"}


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("hostile_pictures", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_cut_off_or_foreign_is_refused_and_what_is_odd_is_measured(pictures, tmp_path):
    cut, odd, foreign = pictures._cut(), pictures._odd(), pictures._foreign()
    files = cut | odd | foreign
    found, _ = pictures.rows(files, tmp_path)
    assert len(found) == len(files) == 38
    assert {name for name, row in found.items() if isinstance(row, Quality)} == set(odd) | (SOUND & set(foreign))
    assert all(found[name].reason for name in cut)


def test_damaged_files_end_as_rows(pictures, tmp_path):
    files = dict(pictures.mutated(120))
    found, _ = pictures.rows(files, tmp_path)
    assert set(found) == set(files)
    assert {type(row) for row in found.values()} == {Quality, Failure}


def test_the_same_seeds_give_the_same_damage(pictures):
    one, other = (hashlib.sha256(b"".join(content for _, content in pictures.mutated(30))).digest() for _ in range(2))
    assert one == other
    assert len({content for _, content in pictures.mutated(30)}) > 25


@pytest.mark.slow
def test_sixty_hostile_files_end_as_rows_within_the_limits(pictures, tmp_path):
    files = pictures.hostile()
    found, seconds = pictures.rows(files, tmp_path)
    assert len(files) == len(found) == 60
    assert {name for name, row in found.items() if isinstance(row, Quality)} >= SOUND
    claimed = [row for name, row in found.items() if "claims" in name]
    assert len(claimed) == 7
    assert all(isinstance(row, Failure) for row in claimed)
    assert seconds < 10 * len(files)
