"""A project whose stages left six pictures: two pages, a redacted face, a licence each of several kinds."""

import hashlib

import numpy as np
import pytest

from stages import shards, tables
from stages.dataset.entries import Stores
from stages.images import encode_png
from stages.records import Consent, Frame, Item, Redaction, Ruling, Sample

LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0")
COUNT = 6


def picture(number, *, size):
    return encode_png(np.full((*size, 3), number * 30, dtype=np.uint8))


@pytest.fixture(scope="session")
def project(tmp_path_factory, tiny_ruling):
    """The folder that holds the stages' folders. Picture 0 is redacted; 4 and 5 are held out; 1 has a variant."""
    data = tmp_path_factory.mktemp("data")
    originals = {hashlib.sha256(bytes([n])).hexdigest(): picture(n, size=(12, 20)) for n in range(COUNT)}
    places = shards.write(data / "crawl", originals, digits=1)
    tables.write(data / "crawl", Item, [_item(id, n, places[id]) for n, id in enumerate(originals)])
    tables.write(data / "frames", Frame, [_frame(id, places[id]) for id in originals])
    first = next(iter(originals))
    redacted = shards.write(data / "anonymise", {first: picture(8, size=(12, 20))}, digits=1)
    tables.write(data / "anonymise", Redaction, [Redaction(id=first, regions=2, place=redacted[first])])
    tables.write(data / "clean", Ruling, [tiny_ruling])
    tables.write(data / "crawl", Consent, [_consent("release-7")])
    _prepared(data / "prepare", list(originals))
    return data


def _consent(id):
    values = {"subjects": ("S-1",), "basis": "model release", "scope": ("train", "publish"), "granted": "2026-01-01"}
    return Consent(id=id, **values, expires="", revoked="", evidence="")


@pytest.fixture(scope="session")
def stores(project):
    return Stores(**{name: project / name for name in ("crawl", "frames", "clean", "anonymise", "prepare")})


def _item(id, number, place):
    return Item(
        id=id,
        url=f"https://a.test/{number}.jpg",
        page=f"https://a.test/{number // 3}",
        kind="image",
        alt="",
        title='Ünïcode, "quotes" | pipes' if number == 1 else f"Picture {number}",
        author="" if number == 2 else "A. Author",
        credit="",
        licence=LICENCES[number % 3],
        licence_evidence=(),
        signals=(),
        consent="release-7" if number == 3 else "",
        group="",
        place=place,
    )


def _frame(id, place):
    return Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=place)


def _prepared(folder, frames):
    files = {f"{frame}-00": picture(n, size=(8, 8)) for n, frame in enumerate(frames)}
    files[f"{frames[1]}-01"] = picture(7, size=(8, 8))
    places = shards.write(folder, files, digits=1)
    rows = [_sample(id, frames.index(id[:-3]), places[id]) for id in files]
    tables.write(folder, Sample, rows)


def _sample(id, number, place):
    return Sample(
        id=id,
        frame=id[:-3],
        variant=int(id[-2:]),
        text=f"a picture of {number}, grün",
        role="subject" if number % 2 else "prior",
        split="heldout" if number >= 4 else "train",
        group=f"group {number}",
        width=8,
        height=8,
        source_width=8,
        source_height=8,
        crop_left=0,
        crop_top=0,
        weight=1.0,
        digest="",
        place=place,
    )
