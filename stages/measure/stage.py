"""Decode every frame once and write down the costly facts: size, light, colour, sharpness, lettering, hash, faces."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from stages import hashes, machine, plugins, shards, tables
from stages.children import Died, Guard
from stages.config import settings
from stages.detectors import Detector
from stages.errors import ImageError
from stages.failures import check
from stages.images import Pixels, read
from stages.measure import lettering, signals
from stages.measure.models import Models
from stages.records import Failure, Frame, Quality, Report


@settings
class Config:
    """How frames are measured."""

    side: Annotated[int, Field(gt=0)]  # pixels; all but size and faces is measured at this long side
    seconds: Annotated[float, Field(gt=0)]  # that one picture may take
    gigabytes: Annotated[float, Field(gt=0)]  # of memory that one picture may take
    max_failures: Annotated[float, Field(ge=0, le=1)]  # share of the frames
    threads: Annotated[int, Field(ge=1)]  # of the three below; another number gives other last bits
    detector: dict[str, Any]  # one of ``stages.detectors``, for faces
    embedding: dict[str, Any] | None  # one of ``embeddings``, for search and for the head below
    aesthetic: dict[str, Any] | None  # one of ``aesthetics``, a head on the embedding
    nsfw: dict[str, Any] | None  # one of ``nsfw``: a classifier


class Measured(NamedTuple):
    """What came of one frame: its row, and the picture at ``Config.side`` where a model is to see it."""

    row: Quality
    view: Pixels | None


def run(config: Config, *, crawled: Path, frames: Path, out: Path) -> Report:
    """Write one ``Quality`` for each ``Frame`` that can be decoded, and a ``Failure`` for each other.

    Strangers' bytes are decoded in processes that may die. Where models are chosen, they see what comes out of those,
    and the shards ``embedding-*.safetensors`` hold one vector for each frame.

    Raises:
        ConfigError: when a part does not exist, or its values do not fit.
        ModelError: when the weights of one cannot be had.
        ImageError: when more frames failed than ``max_failures`` allows.
    """
    plugins.build("stages.detectors", config.detector)  # here, too: there each picture would end its process over it
    models = Models.build(config.embedding, config.aesthetic, config.nsfw, threads=config.threads, side=config.side)
    rows = list(tables.read(frames, Frame))
    unseen = frozenset(frame.id for frame in rows if models.lack(frame.id))
    work = _Work(config, {"crawl": crawled, "frames": frames}, unseen)
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
    cure = f"see {tables.path(out, Failure)}, mend what crawl brought, or raise the limit"
    check(failures, len(rows), most=config.max_failures, where="measure", cure=cure)
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


class _Work:
    """``measure`` in a process of its own, which sends the picture on only where a model is to see it.

    The detector is built where this arrives, before the first picture: a network cannot be sent, and what it takes to
    load one is not to be laid at a picture's door.
    """

    def __init__(self, config: Config, stores: Mapping[str, Path], unseen: frozenset[str]) -> None:
        self._config, self._stores, self._unseen = config, stores, unseen

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        cv2.setNumThreads(1)  # there are as many of these processes as there are workers
        self._detect: Detector = plugins.build("stages.detectors", self._config.detector)
        self._detect(np.zeros((64, 64, 3), dtype=np.uint8))

    def __call__(self, frame: Frame) -> Measured | Failure:
        content = shards.read(self._stores[frame.store], frame.place)
        result = measure(frame, content, self._detect, side=self._config.side)
        if isinstance(result, Measured) and frame.id not in self._unseen:
            return Measured(result.row, None)
        return result
