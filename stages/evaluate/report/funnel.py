"""What became of every picture: how many went on at each stage, and who was refused for what.

No picture is shown that was refused for its rights, nor one of a face that was refused for anything: ``anonymise`` sees
only what was kept.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages import shards, tables
from stages.errors import ImageError
from stages.evaluate.report.sources import Sources
from stages.evaluate.report.thumbnails import scaled
from stages.images import Pixels, decode
from stages.records import Failure, Frame, Item, Quality, Redaction, Sample, Verdict

EXAMPLES = 4  # pictures for each reason
REDACTED = 8  # pictures
SIDE = 96  # pixels
# Shown; what lacks rights, or must not be seen, is only named.
QUALITY_REASONS = (
    *("small", "blurred", "dark", "bright", "flat", "underexposed", "overexposed", "empty", "colourless", "text"),
    *("watermark", "unaesthetic", "twin", "lookalike"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Who was refused for one reason."""

    reason: str
    addresses: Sequence[str]
    pictures: Sequence[Pixels]  # some, where the fault is one of quality


def counts(sources: Sources) -> Iterator[tuple[str, int, str]]:
    """Stage, how many went on, and what was left behind there."""
    items, failures = tables.read(sources.crawled, Item), tables.read(sources.crawled, Failure)
    verdicts, samples = tables.read(sources.cleaned, Verdict), tables.read(sources.prepared, Sample)
    reasons = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    plain = Counter((sample.role, sample.split) for sample in samples if not sample.variant)
    kept, split = sum(verdict.keep for verdict in verdicts), sorted(plain.items())
    yield "crawl", len(items), ", ".join(f"{failure.what}: {failure.reason}" for failure in failures)
    yield "frames", len(tables.read(sources.frames, Frame)), ""
    yield "measure", len(verdicts) - reasons["broken"], f"{reasons['broken']} broken"
    yield "clean", kept, ", ".join(f"{n} {why}" for why, n in sorted(reasons.items()))
    yield "anonymise", len(tables.read(sources.anonymised, Redaction)), "pictures with faces made unrecognisable"
    yield "prepare", sum(plain.values()), ", ".join(f"{count} {role} {side}" for (role, side), count in split)


def refused(sources: Sources, items: Mapping[str, Item]) -> Iterator[Refused]:
    """Each reason with its addresses and, where the fault is one of quality, some pictures without a face."""
    frames = tables.by_id(sources.frames, Frame)
    stores = {"crawl": sources.crawled, "frames": sources.frames}
    faceless = {each.id for each in tables.read(sources.measured, Quality) if not each.faces}
    dropped = [verdict for verdict in tables.read(sources.cleaned, Verdict) if not verdict.keep]
    for reason in sorted({verdict.reason for verdict in dropped}):
        those = [verdict for verdict in dropped if verdict.reason == reason]
        shown = [frames[each.id] for each in those if reason in QUALITY_REASONS and each.id in faceless][:EXAMPLES]
        yield Refused(
            reason=reason,
            addresses=[_why(items[frames[verdict.id].item], verdict, items, frames) for verdict in those],
            pictures=[thumbnail(shards.read(stores[frame.store], frame.place)) for frame in shown],
        )


def redacted(anonymised: Path) -> list[Pixels]:
    """Some pictures in which people were made unrecognisable."""
    rows = tables.read(anonymised, Redaction)[:REDACTED]
    return [decode(shards.read(anonymised, row.place)) for row in rows]


def thumbnail(content: bytes) -> Pixels:
    """The picture in ``content``, small; a blank where it is none."""
    try:
        return scaled(decode(content), SIDE)
    except ImageError:
        return np.full((8, 8, 3), 255, dtype=np.uint8)


def _why(item: Item, verdict: Verdict, items: Mapping[str, Item], frames: Mapping[str, Frame]) -> str:
    said = [f"{each.where}: {each.raw}" for each in item.licence_evidence]
    said += [f"{each.kind}: {each.raw}" for each in item.signals]
    said += [f"id {item.id}"]  # as clean.policy.reviewed wants it
    twin = f"twin of {items[frames[verdict.twin].item].url}" if verdict.twin else ""
    note = twin or ("; ".join(said) if verdict.reason not in QUALITY_REASONS else "")
    return f"{item.url} ({note})" if note else item.url
