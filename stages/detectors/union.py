"""What either of two detectors finds: for anonymising with care, where a face too many costs less than one missed."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from stages import detectors, plugins
from stages.config import settings
from stages.detectors import Detector
from stages.images import Pixels
from stages.records import Region


@settings
class Config:
    """The two detectors, each of which may be a union itself, and when two regions are one."""

    first: dict[str, Any]  # one of ``stages.detectors``
    second: dict[str, Any]
    overlap: Annotated[float, Field(ge=0, lt=1)]  # intersection over union; regions that share more become one


def build(config: Config) -> Detector:
    """The detector over ``config``.

    Raises:
        ConfigError: when one of the two does not exist, or its values do not fit.
    """
    parts: list[Detector] = [plugins.build("stages.detectors", each) for each in (config.first, config.second)]

    def detect(pixels: Pixels) -> tuple[Region, ...]:
        return joined((region for part in parts for region in part(pixels)), above=config.overlap)

    return detect


def joined(regions: Iterable[Region], *, above: float) -> tuple[Region, ...]:
    """``regions`` of which no two overlap by more than ``above``: those that do become the rectangle around both."""
    waiting, done = list(detectors.in_order(regions)), list[Region]()
    while waiting:
        region = waiting.pop()
        twin = next((other for other in done if detectors.overlap(other, region) > above), None)
        if twin is None:
            done.append(region)
        else:
            done.remove(twin)
            waiting.append(_around(twin, region))
    return detectors.in_order(done)


def _around(one: Region, other: Region) -> Region:
    """The rectangle around both, with the higher score and the landmarks of the surer one that has any."""
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(one.left + one.width, other.left + other.width)
    bottom = max(one.top + one.height, other.top + other.height)
    surest = max((one, other), key=lambda each: (bool(each.landmarks), each.score))
    return Region(
        left=left,
        top=top,
        width=right - left,
        height=bottom - top,
        score=max(one.score, other.score),
        landmarks=surest.landmarks,
    )
