"""Decode every frame once and write down the costly facts: size, light, colour, sharpness, lettering, hash, faces."""

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from stages import hashes, machine, plugins, shards, tables
from stages.config import settings
from stages.detectors import Detector
from stages.errors import ImageError
from stages.images import Pixels, read
from stages.machine import Died, Guard
from stages.measure import lettering, signals
from stages.measure.models import Models
from stages.records import Failure, Frame, Quality, Report


@settings
class Config:
    """How frames are measured."""

    side: Annotated[int, Field(gt=0)]  # pixels; all but size and faces is measured at this long side
    seconds: Annotated[float, Field(gt=0)]  # that one picture may take
    gigabytes: Annotated[float, Field(gt=0)]  # of memory that one picture may take
    threads: Annotated[int, Field(ge=1)]  # of the three below; another number gives other last bits
    detector: dict[str, Any]  # one of ``stages.detectors``, for faces
    embedding: dict[str, Any] | None  # one of ``embeddings``, for search and for the head below
    aesthetic: dict[str, Any] | None  # one of ``aesthetics``, a head on the embedding
    nsfw: dict[str, Any] | None  # one of ``classifiers``


class Measured(NamedTuple):
    """What came of one frame: its row, and the picture at ``Config.side`` where a model is to see it."""

    row: Quality
    view: Pixels | None


def run(config: Config, *, crawled: Path, frames: Path, out: Path) -> Report:
    """Write one ``Quality`` for each ``Frame`` that can be decoded, and a ``Failure`` for each other.

    Strangers' bytes are decoded in processes that may die. Where models are chosen, they see what comes out of those,
    and the shards ``embedding-*.safetensors`` hold one vector for each frame.
    """
    models = Models.build(config.embedding, config.aesthetic, config.nsfw, threads=config.threads, side=config.side)
    rows = list(tables.read(frames, Frame))
    unseen = frozenset(frame.id for frame in rows if models.lack(frame.id))
    work = partial(_work, {"crawl": crawled, "frames": frames}, json.dumps(config.detector), config.side, unseen)
    guard = Guard(seconds=config.seconds, gigabytes=config.gigabytes)
    good: list[Quality] = []
    failures: list[Failure] = []
    for frame, result in zip(rows, machine.each(work, rows, label="measure", guard=guard), strict=True):
        if isinstance(result, Measured):
            good.append(replace(result.row, **models.opinions(frame.id, result.view)))
        elif isinstance(result, Died):
            failures.append(Failure(id=frame.id, what=frame.item, reason=f"decoding it {result.reason}"))
        else:
            failures.append(result)
    tables.write(out, Quality, good)
    tables.write(out, Failure, failures)
    models.write(out)
    return {"frames": len(rows), "failed": len(failures), "faces": sum(len(row.faces) for row in good)}


def measure(frame: Frame, content: bytes, detect: Detector, *, side: int) -> Measured | Failure:
    """All facts about ``content``, the bytes of ``frame``, from one decode, with the picture at ``side``."""
    try:
        form, pixels = read(content)
    except ImageError as error:
        return Failure(id=frame.id, what=frame.item, reason=str(error))
    view = signals.smaller(pixels, side=side)
    grey = signals.grey(view)
    row = Quality(
        id=frame.id,
        width=pixels.shape[1],
        height=pixels.shape[0],
        format=form,
        sharpness=round(signals.laplacian_variance(grey), 3),
        colourfulness=round(signals.colourfulness(view), 3),
        faces=detect(pixels),
        aesthetic=None,
        nsfw=None,
        **_light(grey),
        **_patterns(grey),
    )
    return Measured(row, view)


def _light(grey: signals.Grey) -> dict[str, Any]:
    """How ``grey`` is exposed, as part of a ``Quality``."""
    shares = signals.histogram(grey)
    brightness, contrast = signals.exposure(grey)
    dark, bright = signals.extremes(shares)
    return {
        "brightness": round(brightness, 3),
        "contrast": round(contrast, 3),
        "dark": round(dark, 4),
        "bright": round(bright, 4),
        "entropy": round(signals.entropy(shares), 4),
    }


def _patterns(grey: signals.Grey) -> dict[str, Any]:
    """What ``grey`` is like as a whole, and what is written on it, as part of a ``Quality``."""
    hashed = hashes.pdq(grey)
    rows = lettering.lines(grey)
    return {
        "hash": hashed.digits,
        "hash_quality": hashed.quality,
        "text": round(lettering.share(rows, grey), 4),
        "watermark": round(lettering.at_the_border(rows, grey), 4),
    }


def _work(
    stores: dict[str, Path], detector: str, side: int, unseen: frozenset[str], frame: Frame
) -> Measured | Failure:
    """``measure`` in a process of its own, which sends the picture on only where a model is to see it."""
    result = measure(frame, shards.read(stores[frame.store], frame.place), _detector(detector), side=side)
    if isinstance(result, Measured) and frame.id not in unseen:
        return Measured(result.row, None)
    return result


@cache
def _detector(choice: str) -> Detector:
    """The detector of ``choice``, built once in each process: networks cannot be sent to one."""
    detector: Detector = plugins.build("stages.detectors", json.loads(choice))
    return detector
