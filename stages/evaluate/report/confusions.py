"""What a judge took pictures for, as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.records import BASE, Arm, Confusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The pictures of one arm: what was asked by row, what was seen by column."""

    arm: Arm
    seen: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]  # the class that was asked, and a count for each of ``seen``


def tables(rows: Sequence[Confusion], chosen: Arm) -> list[Table]:
    """That of the base and that of ``chosen``; columns begin with the classes that were asked, in the judge's order."""
    ordered = sorted(rows, key=lambda each: each.id)
    asked = list(dict.fromkeys(each.asked for each in ordered))
    seen = list(dict.fromkeys([*asked, *(each.seen for each in ordered)]))
    counts = {(each.arm, each.asked, each.seen): each.count for each in rows}
    there = {each.arm for each in rows}
    return [
        Table(arm=arm, seen=seen, rows=[(one, [counts.get((arm, one, each), 0) for each in seen]) for one in asked])
        for arm in (BASE, chosen)
        if arm in there
    ]
