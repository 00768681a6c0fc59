"""Videos to stills; pictures pass through, their bytes left where they are."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import machine, shards, tables
from stages.config import settings
from stages.errors import ImageError
from stages.frames.stills import stills
from stages.images import encode_png
from stages.records import Failure, Frame, Item, Report


@settings
class Config:
    """How many stills a video gives."""

    every_s: Annotated[float, Field(gt=0)]  # seconds between two stills
    max_stills: Annotated[int, Field(gt=0)]  # of one video
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, crawled: Path, out: Path) -> Report:
    """Write one ``Frame`` for each picture and still of ``crawled``, and the stills' pixels."""
    items = tables.read(crawled, Item)
    pictures = [_picture(item) for item in items if item.kind == "image"]
    videos = [item for item in items if item.kind == "video"]
    results = list(machine.each(lambda item: _stills(item, crawled, config), videos, label="frames"))
    failures = [each for each in results if isinstance(each, Failure)]
    found = {key: value for each in results if isinstance(each, dict) for key, value in each.items()}
    places = shards.write(out, {id: png for id, (_, _, png) in found.items()}, digits=config.shard_digits)
    frames = [
        Frame(id=id, item=item, time_ms=time_ms, store="frames", place=places[id])
        for id, (item, time_ms, _) in found.items()
    ]
    tables.write(out, Frame, pictures + frames)
    tables.write(out, Failure, failures)
    return {"pictures": len(pictures), "videos": len(videos), "stills": len(frames), "failed": len(failures)}


def still_id(video: str, time_ms: float) -> str:
    """The id of a still: of its video and its time, so that another PNG encoder changes no id."""
    return hashlib.sha256(f"{video} {time_ms:.3f} ms".encode()).hexdigest()


def _picture(item: Item) -> Frame:
    return Frame(id=item.id, item=item.id, time_ms=0.0, store="crawl", place=item.place)


def _stills(item: Item, crawled: Path, config: Config) -> dict[str, tuple[str, float, bytes]] | Failure:
    """Item, time and PNG of each still, by its id."""
    try:
        return dict(_encoded(item, crawled, config))
    except ImageError as error:
        return Failure(id=item.id, what=item.url, reason=str(error))


def _encoded(item: Item, crawled: Path, config: Config) -> Iterator[tuple[str, tuple[str, float, bytes]]]:
    video = shards.read(crawled, item.place)
    for time_ms, pixels in stills(video, every_s=config.every_s, most=config.max_stills):
        yield still_id(item.id, time_ms), (item.id, time_ms, encode_png(pixels))
