"""Which bound the distribution of each measured number suggests. Nothing here decides: it is for the eyes of the user."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.clean.rules import RULES, Config, Rule
from stages.records import Quality

ENOUGH = 20  # frames; the spread of fewer says little
FENCE = 3.5  # modified z-score of an outlier: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993
NORMAL = 1.4826  # median absolute deviation to standard deviation, for a normal distribution
RARE = 5.0  # per cent; more than that are no outliers, whatever their score
TAIL = 1.0  # per cent


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A bound in use, and the one that the distribution suggests. ``id`` is the setting."""

    id: str
    current: float | None  # none: out of use
    suggested: float | None  # none: too few frames were measured for it
    measured: int  # frames
    drops_now: int  # frames beyond ``current``
    drops_then: int  # frames beyond ``suggested``


def suggestions(measured: Sequence[Quality], config: Config) -> list[Suggestion]:
    """One for each rule on a measured number, over all measured frames, whatever their verdict."""
    return [_suggestion(rule, measured, config) for rule in RULES]


def _suggestion(rule: Rule, measured: Sequence[Quality], config: Config) -> Suggestion:
    values = [value for each in measured if (value := rule.signal(each)) is not None]
    current = rule.limit(config)
    suggested = fence(np.array(values), rule) if len(values) >= ENOUGH else None
    return Suggestion(
        id=rule.setting,
        current=current,
        suggested=suggested,
        measured=len(values),
        drops_now=sum(rule.breaks(value, current) for value in values),
        drops_then=sum(rule.breaks(value, suggested) for value in values),
    )


def fence(values: NDArray[np.float64], rule: Rule) -> float:
    """The bound beyond which ``values``, float64[N], are outliers on the side of ``rule``.

    The median plus or minus 3.5 standard deviations, these estimated from the median absolute deviation; of numbers
    that spread over decades, of their logarithm (of 1 + x). Many numbers lean to one side, so at most 5 % may lie beyond;
    where more than half of the values are equal there is no deviation, and it is 1 %. Never beyond what was seen.
    """
    scaled = np.log1p(values) if rule.decades else values.astype(np.float64)
    middle = float(np.median(scaled))
    spread = NORMAL * float(np.median(np.abs(scaled - middle)))
    sign = -1 if rule.side == "min" else 1
    share = RARE if spread else TAIL
    rare = float(np.percentile(scaled, 50 + sign * (50 - share)))
    bound = sign * max(sign * (middle + sign * FENCE * spread), sign * rare)
    bound = float(np.clip(bound, scaled.min(), scaled.max()))
    return _rounded(float(np.expm1(bound)) if rule.decades else bound, outwards=sign)


def _rounded(bound: float, *, outwards: int) -> float:
    """To four places, away from the values, so that one on the bound stays."""
    return float((np.ceil if outwards > 0 else np.floor)(round(bound * 10_000, 3)) / 10_000)
