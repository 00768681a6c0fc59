"""How the kept frames are spread over sites, pages, licences and authors, so that no source rules unseen."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from stages.records import Frame, Item, Report, Verdict

Kind = Literal["site", "page", "licence", "author"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How many frames one site, page, licence or author has. ``id`` is made of kind and value."""

    id: str
    kind: Kind
    value: str  # empty where it is not known
    frames: int
    kept: int
    thin: bool  # some were found and too few stay to learn from


def balance(
    frames: Sequence[Frame], items: Mapping[str, Item], verdicts: Sequence[Verdict], *, thin: int
) -> list[Balance]:
    """One row for each value of each kind; ``thin`` are those of fewer kept frames."""
    keeps = {verdict.id: verdict.keep for verdict in verdicts}
    found, kept = Counter[tuple[Kind, str]](), Counter[tuple[Kind, str]]()
    for frame in frames:
        for kind, value in _classes(items[frame.item]):
            found[kind, value] += 1
            kept[kind, value] += keeps[frame.id]
    return [
        Balance(
            id=f"{kind} {value}",
            kind=kind,
            value=value,
            frames=count,
            kept=kept[kind, value],
            thin=kept[kind, value] < thin,
        )
        for (kind, value), count in found.items()
    ]


def _classes(item: Item) -> Iterator[tuple[Kind, str]]:
    yield "site", urlsplit(item.page or item.url).netloc
    yield "page", item.page
    yield "licence", item.licence
    yield "author", item.author


def summary(rows: Sequence[Balance]) -> Report:
    """For each kind how many values there are, the largest one's share of what is kept, and how many are thin."""
    numbers: dict[str, float] = {}
    for kind in KINDS:
        those = [row for row in rows if row.kind == kind]
        kept = [row.kept for row in those]
        numbers[f"{kind}/count"] = sum(count > 0 for count in kept)
        numbers[f"{kind}/largest_share"] = round(max(kept) / sum(kept), 4) if sum(kept) else 0.0
        numbers[f"{kind}/thin"] = sum(row.thin for row in those)
    return numbers
