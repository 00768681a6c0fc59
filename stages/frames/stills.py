"""Which frames of a video become stills: the first of each scene, and some steadily after it."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stages.config import settings
from stages.frames import cuts
from stages.frames.decoding import Limits, Shown, frames
from stages.images import Pixels


@settings
class Config:
    """How many stills a video gives."""

    every_s: Annotated[float, Field(gt=0)]  # seconds between two stills of one scene
    min_change: Annotated[float, Field(ge=0, le=255)]  # to the still before, see ``cuts.change``; 0 keeps equal ones
    max_stills: Annotated[int, Field(gt=0)]  # of one video, from its start
    cuts: cuts.Config
    limits: Limits


def stills(video: bytes, config: Config) -> Iterator[Shown]:
    """The first frame of each scene of ``video`` and the next one after each ``every_s`` seconds of it.

    What hardly differs from the still before is left out. A perceptual hash would not tell one plain picture from
    another; the change between two frames does, and ``clean`` looks for near-duplicates among all pictures anyway.

    Raises:
        ImageError: when no frame can be decoded, and why.
    """
    before: Pixels | None = None
    count = 0
    for shown, small in _due(video, config):
        if before is not None and cuts.change(before, small) < config.min_change:
            continue
        yield shown
        before, count = small, count + 1
        if count == config.max_stills:
            return


def _due(video: bytes, config: Config) -> Iterator[tuple[Shown, Pixels]]:
    """The frames whose time has come: at each cut the clock starts anew."""
    begin, due = 0.0, 0.0  # of the scene, and the next time within it, in milliseconds
    every_ms, shortest_ms = config.every_s * 1000, config.cuts.min_scene_s * 1000
    for shown, small, cut in cuts.first_of_scenes(frames(video, config.limits), Shown.small, config.cuts):
        time_ms = shown.time_ms
        if cut and time_ms - begin >= shortest_ms:
            begin, due = time_ms, time_ms
        if time_ms + 1e-6 >= due:
            yield shown, small
            due = begin + ((time_ms - begin + 1e-6) // every_ms + 1) * every_ms
