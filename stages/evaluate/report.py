"""One page that shows a run: what became of every picture, the verdicts, same-seed grids, curves and credits.

It holds everything it shows, asks nothing of the network, and embeds no picture that was refused for its rights, nor one
of a face that was refused for anything: ``anonymise`` sees only what was kept.
"""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined

from stages import licences, rights, shards, tables
from stages.errors import ImageError
from stages.evaluate import scores
from stages.evaluate.pictures import Pictures
from stages.images import Pixels, decode, encode_png
from stages.records import (
    ADAPTER,
    BASE,
    Consent,
    Failure,
    Frame,
    Item,
    Point,
    Quality,
    Recommendation,
    Redaction,
    Ruling,
    Sample,
    Score,
    Verdict,
)

COLUMNS = 12  # of the subject's grid
EXAMPLES = 4  # pictures for each reason
REDACTED = 8  # pictures
# Shown; what lacks rights, or must not be seen, is only named.
QUALITY_REASONS = (
    *("small", "blurred", "dark", "bright", "flat", "underexposed", "overexposed", "empty", "colourless", "text"),
    *("watermark", "unaesthetic", "twin", "lookalike"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The folders that the page reads."""

    crawled: Path
    frames: Path
    measured: Path
    cleaned: Path
    anonymised: Path
    prepared: Path
    trained: Path


def page(sources: Sources, rows: Sequence[Score], chosen: Recommendation, pictures: Pictures) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"number": number, "png": _inline}
    template = environment.from_string((files(__package__) / "report.html.j2").read_text(encoding="utf-8"))
    items = tables.by_id(sources.crawled, Item)
    (ruling,) = tables.read(sources.cleaned, Ruling)
    used = [rights.as_ruled(item, ruling) for item in _used(sources, items, pictures.samples)]
    points = tables.read(sources.trained, Point)
    return template.render(
        scores=[(score, scores.remark(score)) for score in sorted(rows, key=_by_id) if score.arm in {BASE, ADAPTER}],
        checkpoints=list(_checkpoints(rows)),
        chosen=chosen,
        funnel=list(_funnel(sources)),
        refused=list(_refused(sources, items)),
        redacted=[
            decode(shards.read(sources.anonymised, row.place))
            for row in tables.read(sources.anonymised, Redaction)[:REDACTED]
        ],
        subject=list(_subject_rows(pictures)),
        real=_real_subjects(pictures)[:COLUMNS],
        prior=list(_prior_rows(pictures)),
        curves=[_curve(label, points, field) for label, field in _CURVES],
        credits=sorted(map(rights.attribution, used)),
        licences=sorted(Counter(licences.label(item.licence) for item in used).items()),
        duties=licences.duties(item.licence for item in used),
        ruling=ruling,
        use=rights.use(ruling),
        restrictions=rights.restrictions(ruling),
        consents=_consents(sources, used, ruling),
        columns=COLUMNS,
    )


def grid(pictures: Pictures) -> Pixels:
    """The subject by base, by adapter (the same seeds below each other) and as it really is: three rows of pictures."""
    rows = [[pictures.drawn(each) for each in pictures.by_arm(arm, "subject")[:COLUMNS]] for arm in (BASE, ADAPTER)]
    height, width = rows[0][0].shape[:2]
    rows.append([picture for picture in _real_subjects(pictures) if picture.shape[:2] == (height, width)][:COLUMNS])
    sheet = np.full((len(rows) * (height + 4), COLUMNS * (width + 4), 3), 255, dtype=np.uint8)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            top, left = down * (height + 4), across * (width + 4)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def number(value: float | None) -> str:
    """Four significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.4g}"


def _by_id(score: Score) -> str:
    return score.id


def _checkpoints(rows: Sequence[Score]) -> Iterator[tuple[str, dict[str, Score]]]:
    """Each arm but the base with its compared scores by metric, in the order of training."""
    arms = [*sorted({score.arm for score in rows} - {BASE, ADAPTER}), ADAPTER]
    for arm in arms:
        yield arm, {score.metric: score for score in rows if score.arm == arm and score.delta is not None}


_CURVES = (
    ("training loss", "loss"),
    ("held-out loss of the subject", "heldout_loss"),
    ("held-out loss of the prior", "prior_loss"),
)


def _subject_rows(pictures: Pictures) -> Iterator[tuple[str, list[Pixels]]]:
    """Each arm with its first pictures of the subject."""
    for arm in (BASE, ADAPTER):
        yield arm, [pictures.drawn(each) for each in pictures.by_arm(arm, "subject")[:COLUMNS]]


def _real_subjects(pictures: Pictures) -> list[Pixels]:
    """The held-out pictures of the subject, in the order of their ids: those of one page do not stand together."""
    return [pictures.real(sample) for sample in pictures.plain("subject", "heldout")]


def _prior_rows(pictures: Pictures) -> Iterator[tuple[str, list[Pixels], list[Pixels]]]:
    """Each prompt of the prior with up to six pictures of both arms."""
    arms = [pictures.by_arm(arm, "prior") for arm in (BASE, ADAPTER)]
    for prompt in sorted({each.prompt for each in arms[0]}):
        base, adapter = ([pictures.drawn(each) for each in arm if each.prompt == prompt][:6] for arm in arms)
        yield prompt, base, adapter


def _funnel(sources: Sources) -> Iterator[tuple[str, int, str]]:
    """Stage, how many went on, and what was left behind there."""
    items, failures = tables.read(sources.crawled, Item), tables.read(sources.crawled, Failure)
    verdicts, samples = tables.read(sources.cleaned, Verdict), tables.read(sources.prepared, Sample)
    reasons = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    plain = Counter((sample.role, sample.split) for sample in samples if not sample.variant)
    split = ", ".join(f"{count} {role} {side}" for (role, side), count in sorted(plain.items()))
    yield "crawl", len(items), ", ".join(f"{failure.what}: {failure.reason}" for failure in failures)
    yield "frames", len(tables.read(sources.frames, Frame)), ""
    yield "measure", len(verdicts) - reasons["broken"], f"{reasons['broken']} broken"
    yield (
        "clean",
        sum(verdict.keep for verdict in verdicts),
        ", ".join(f"{n} {why}" for why, n in sorted(reasons.items())),
    )
    yield "anonymise", len(tables.read(sources.anonymised, Redaction)), "pictures with faces made unrecognisable"
    yield "prepare", sum(plain.values()), split


def _refused(sources: Sources, items: dict[str, Item]) -> Iterator[dict[str, Any]]:
    """Each reason with its addresses and, where the fault is one of quality, some pictures without a face."""
    frames = tables.by_id(sources.frames, Frame)
    stores = {"crawl": sources.crawled, "frames": sources.frames}
    faceless = {each.id for each in tables.read(sources.measured, Quality) if not each.faces}
    dropped = [verdict for verdict in tables.read(sources.cleaned, Verdict) if not verdict.keep]
    for reason in sorted({verdict.reason for verdict in dropped}):
        those = [verdict for verdict in dropped if verdict.reason == reason]
        shown = [frames[each.id] for each in those if reason in QUALITY_REASONS and each.id in faceless][:EXAMPLES]
        yield {
            "reason": reason,
            "addresses": [_why(items[frames[verdict.id].item], verdict, items, frames) for verdict in those],
            "pictures": [_thumbnail(shards.read(stores[frame.store], frame.place)) for frame in shown],
        }


def _why(item: Item, verdict: Verdict, items: dict[str, Item], frames: dict[str, Frame]) -> str:
    said = [f"{each.where}: {each.raw}" for each in item.licence_evidence]
    said += [f"{each.kind}: {each.raw}" for each in item.signals]
    said += [f"id {item.id}"]  # as clean.policy.reviewed wants it
    twin = f"twin of {items[frames[verdict.twin].item].url}" if verdict.twin else ""
    note = twin or ("; ".join(said) if verdict.reason not in QUALITY_REASONS else "")
    return f"{item.url} ({note})" if note else item.url


def _thumbnail(content: bytes) -> Pixels:
    try:
        pixels = decode(content)
    except ImageError:
        return np.full((8, 8, 3), 255, dtype=np.uint8)
    height, width = pixels.shape[:2]
    scale = min(1.0, 96 / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))  # a line of one pixel keeps it
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _curve(label: str, points: Sequence[Point], field: str) -> dict[str, Any]:
    """One curve as points of an SVG of 300 by 100, with its first and last value."""
    values = [(point.step, getattr(point, field)) for point in points if getattr(point, field) is not None]
    values = [pair for pair in values if pair[0] or field != "loss"]  # before the first step there is no training loss
    if not values:
        return {"label": label, "path": "", "first": None, "last": None, "steps": 0}
    low, high = min(value for _, value in values), max(value for _, value in values)
    last = max(step for step, _ in values) or 1
    path = " ".join(
        f"{300 * step / last:.1f},{95 - 90 * (value - low) / ((high - low) or 1):.1f}" for step, value in values
    )
    return {"label": label, "path": path, "first": values[0][1], "last": values[-1][1], "steps": last}


def _used(sources: Sources, items: dict[str, Item], samples: Sequence[Sample]) -> list[Item]:
    """The items whose pictures were used to train or to judge."""
    frames = tables.by_id(sources.frames, Frame)
    return [items[id] for id in sorted({frames[sample.frame].item for sample in samples})]


def _consents(sources: Sources, used: Sequence[Item], ruling: Ruling) -> list[tuple[str, str]]:
    """Each consent that ``used`` name, and why it does not count; empty where it does."""
    known = rights.consents(
        tables.read(sources.crawled, Consent),
        on=date.fromisoformat(ruling.consent_on),
        scopes=rights.needed(publish=ruling.publish),
    )
    return [(id, known.get(id, rights.NO_RECORD)) for id in sorted({item.consent for item in used if item.consent})]


def _inline(pixels: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()
