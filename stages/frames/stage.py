"""Videos to stills; pictures pass through, their bytes left where they are."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import machine, shards, tables
from stages.children import Guard
from stages.config import settings
from stages.errors import ImageError
from stages.failures import check
from stages.frames import stills
from stages.images import encode_png
from stages.records import Failure, Frame, Item, Report


@settings
class Config:
    """What becomes of a video."""

    stills: stills.Config
    seconds: Annotated[float, Field(gt=0)]  # that one video may take
    gigabytes: Annotated[float, Field(gt=0)]  # of memory that one video may take
    max_failures: Annotated[
        float, Field(ge=0, le=1)
    ]  # share of all items: one broken video among many pictures is none
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, crawled: Path, out: Path) -> Report:
    """Write one ``Frame`` for each picture and still of ``crawled``, and the stills' pixels.

    A video that is none, never ends or takes its process down is a ``Failure``.

    Raises:
        ImageError: when more failed than ``max_failures`` allows.
    """
    items = tables.read(crawled, Item)
    pictures = [_picture(item) for item in items if item.kind == "image"]
    videos = [item for item in items if item.kind == "video"]
    found: list[Frame] = []
    failures: list[Failure] = []
    with shards.Writer(out, digits=config.shard_digits) as writer:
        for result, content in _stills(videos, config, crawled=crawled, out=out):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                found.append(result)
                writer.add(result.id, content)
    tables.write(out, Frame, [*pictures, *(replace(frame, place=writer.places[frame.id]) for frame in found)])
    tables.write(out, Failure, failures)
    cure = f"see {tables.path(out, Failure)}, mend what crawl brought, or raise the limit"
    check(failures, len(items), most=config.max_failures, where="frames", cure=cure)
    return {"pictures": len(pictures), "videos": len(videos), "stills": len(found), "failed": len(failures)}


def still_id(video: str, pts: int, time_base: str) -> str:
    """The id of a still: of its video and its exact time, so that another PNG encoder changes no id."""
    return hashlib.sha256(f"{video} {pts} {time_base}".encode()).hexdigest()


def _picture(item: Item) -> Frame:
    return Frame(id=item.id, item=item.id, pts=0, time_base="", time_ms=0.0, store="crawl", place=item.place)


def _stills(videos: list[Item], config: Config, *, crawled: Path, out: Path) -> Iterator[tuple[Frame | Failure, bytes]]:
    """Each still of ``videos`` and its PNG, or why there is none. The stills of a video come by a folder of its own."""
    guard = Guard(seconds=config.seconds, gigabytes=config.gigabytes)
    with tempfile.TemporaryDirectory(dir=out, prefix=".stills-") as between:

        def work(item: Item) -> list[Frame] | Failure:
            return _of_one(item, shards.read(crawled, item.place), config, Path(between) / item.id)

        for item, result in zip(videos, machine.each(work, videos, label="frames", guard=guard), strict=True):
            if isinstance(result, list):
                yield from ((frame, shards.read(Path(between) / item.id, frame.place)) for frame in result)
            else:
                yield Failure(id=item.id, what=item.url, reason=result.reason), b""
            shutil.rmtree(Path(between) / item.id, ignore_errors=True)


def _of_one(item: Item, video: bytes, config: Config, out: Path) -> list[Frame] | Failure:
    """The stills of ``video``, their pixels in shards of ``out``."""
    times: dict[str, tuple[int, str, float]] = {}
    try:
        with shards.Writer(out, digits=1) as writer:
            for shown in stills.stills(video, config.stills):
                id = still_id(item.id, shown.pts, shown.time_base)
                times[id] = (shown.pts, shown.time_base, shown.time_ms)  # and not the frame, which is large
                writer.add(id, encode_png(shown.pixels()))
    except ImageError as error:
        return Failure(id=item.id, what=item.url, reason=str(error))
    return [
        Frame(id=id, item=item.id, pts=pts, time_base=base, time_ms=ms, store="frames", place=writer.places[id])
        for id, (pts, base, ms) in times.items()
    ]
