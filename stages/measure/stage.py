"""Decode every frame once and write down the costly facts: size, sharpness, exposure, hash, faces."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import hashes, machine, plugins, shards, tables
from stages.config import settings
from stages.detectors import Detector
from stages.errors import ImageError
from stages.images import read
from stages.measure import lettering, signals
from stages.records import Failure, Frame, Quality, Report


@settings
class Config:
    """How frames are measured."""

    side: Annotated[int, Field(gt=0)]  # pixels; sharpness and exposure are measured at this long side
    detector: dict[str, Any]  # one of ``stages.detectors``, for faces


def run(config: Config, *, crawled: Path, frames: Path, out: Path) -> Report:
    """Write one ``Quality`` for each ``Frame`` that can be decoded, and a ``Failure`` for each other."""
    detect: Detector = plugins.build("stages.detectors", config.detector)
    stores = {"crawl": crawled, "frames": frames}

    def measured(frame: Frame) -> Quality | Failure:
        return measure(frame, shards.read(stores[frame.store], frame.place), detect, side=config.side)

    rows = list(machine.each(measured, tables.read(frames, Frame), label="measure"))
    good = [row for row in rows if isinstance(row, Quality)]
    failures = [row for row in rows if isinstance(row, Failure)]
    tables.write(out, Quality, good)
    tables.write(out, Failure, failures)
    faces = sum(len(row.faces) for row in good)
    return {"frames": len(rows), "failed": len(failures), "faces": faces}


def measure(frame: Frame, content: bytes, detect: Detector, *, side: int) -> Quality | Failure:
    """All facts about ``content``, the bytes of ``frame``, from one decode."""
    try:
        picture = read(content)
    except ImageError as error:
        return Failure(id=frame.id, what=frame.item, reason=str(error))
    pixels = picture.pixels
    image = signals.grey(pixels, side=side)
    shares = signals.histogram(image)
    brightness, contrast = signals.exposure(image)
    dark, bright = signals.extremes(shares)
    rows = lettering.lines(image)
    hashed = hashes.pdq(image)
    return Quality(
        id=frame.id,
        width=pixels.shape[1],
        height=pixels.shape[0],
        format=picture.format,
        sharpness=round(signals.laplacian_variance(image), 3),
        brightness=round(brightness, 3),
        contrast=round(contrast, 3),
        dark=round(dark, 4),
        bright=round(bright, 4),
        entropy=round(signals.entropy(shares), 4),
        colourfulness=round(signals.colourfulness(pixels), 3),
        hash=hashed.digits,
        hash_quality=hashed.quality,
        text=round(lettering.share(rows, image), 4),
        watermark=round(lettering.at_the_border(rows, image), 4),
        faces=detect(pixels),
        aesthetic=None,
        nsfw=None,
    )
