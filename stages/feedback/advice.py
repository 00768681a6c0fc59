"""From flagged slices to what to do: how much heavier their pictures weigh, and how many more to look for."""

import math
from collections.abc import Iterable, Mapping


def slice_weight(effect: float, *, boost: float, most: float) -> float:
    """The weight of the pictures of a slice that is ``effect`` standard deviations behind: 1 to ``most``."""
    return min(max(1.0 + boost * effect, 1.0), most)


def weights(slices_of: Mapping[str, Iterable[str]], by_slice: Mapping[str, float]) -> dict[str, float]:
    """The weight of each picture, the largest of the slices it lies in or 1, scaled so that the mean is 1.

    ``slices_of`` are the slices of each training picture, ``by_slice`` the weights of those that are flagged.
    """
    raw = {id: max((by_slice.get(name, 1.0) for name in names), default=1.0) for id, names in slices_of.items()}
    mean = sum(raw.values()) / len(raw) if raw else 1.0
    return {id: weight / mean for id, weight in raw.items()}


def wanted(have: int, weight: float, *, most: int) -> int:
    """How many pictures are missing for ``have`` of them to weigh ``weight`` by number alone, at most ``most``."""
    return min(most, math.ceil(have * (weight - 1.0)))
