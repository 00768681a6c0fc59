"""One rule after the other: rights, then size, sharpness and exposure, then near-duplicates."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stages import hashes, rights
from stages.config import settings
from stages.records import Failure, Frame, Item, Quality, Verdict


@settings
class Config:
    """When a frame is dropped. Every threshold is inclusive: a frame that just meets it stays."""

    policy: rights.Policy
    min_side: Annotated[int, Field(gt=0)]  # pixels of the short side
    min_sharpness: Annotated[float, Field(ge=0)]  # variance of the Laplacian
    min_brightness: Annotated[float, Field(ge=0, le=255)]  # mean grey
    max_brightness: Annotated[float, Field(ge=0, le=255)]  # mean grey
    min_contrast: Annotated[float, Field(ge=0, le=128)]  # standard deviation of grey
    twin_distance: Annotated[int, Field(ge=-1, le=256)]  # bits of the hash; -1 keeps even equal ones
    blocklist: tuple[str, ...]  # ids (SHA-256) that never enter


def judge(
    frames: Sequence[Frame],
    items: Mapping[str, Item],
    measured: Sequence[Quality],
    failures: Sequence[Failure],
    config: Config,
) -> list[Verdict]:
    """One verdict for each frame, whether it could be measured or not."""
    quality = {each.id: each for each in measured}
    broken = {each.id for each in failures}
    reasons = {
        frame.id: "broken" if frame.id in broken else _fault(frame, items[frame.item], quality[frame.id], config)
        for frame in frames
    }
    kept = [quality[id] for id, reason in reasons.items() if not reason]
    twins = near_duplicates(kept, {frame.id: frame.place.size for frame in frames}, config.twin_distance)
    return [
        Verdict(
            id=id,
            keep=not reason and id not in twins,
            reason=reason or ("twin" if id in twins else ""),
            twin=twins.get(id, ""),
        )
        for id, reason in sorted(reasons.items())
    ]


def near_duplicates(images: Sequence[Quality], sizes: Mapping[str, int], distance: int) -> dict[str, str]:
    """Each near-duplicate that goes, and the one that stays in its stead.

    The one of more pixels stays, then of more bytes (a copy compressed harder looks sharper than it is), then of the
    lower id. Each image is compared with those that stay, so a chain of likenesses does not swallow what is unlike its head.
    """
    order = sorted(images, key=lambda image: (-image.width * image.height, -sizes[image.id], image.id))
    words = hashes.words([image.hash for image in order])
    twins: dict[str, str] = {}
    staying: list[int] = []
    for number, image in enumerate(order):
        apart = hashes.distances(words[number], words[staying])
        near = np.flatnonzero(apart <= distance)
        if len(near):
            twins[image.id] = order[staying[int(near[np.argmin(apart[near])])]].id
        else:
            staying.append(number)
    return twins


def _fault(frame: Frame, item: Item, quality: Quality, config: Config) -> str:
    """Why ``frame`` cannot stay whatever else there is; empty when it can. The first reason counts."""
    if frame.id in config.blocklist or item.id in config.blocklist:
        return "blocked"
    if rule := rights.decide(item, config.policy).rule:
        return rule
    faults = {
        "small": min(quality.width, quality.height) < config.min_side,
        "blurred": quality.sharpness < config.min_sharpness,
        "dark": quality.brightness < config.min_brightness,
        "bright": quality.brightness > config.max_brightness,
        "flat": quality.contrast < config.min_contrast,
    }
    return next((reason for reason, fault in faults.items() if fault), "")
