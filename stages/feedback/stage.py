"""Find the kinds of pictures of which less was learned, and say what to look for and what to draw more often."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages import rights, tables
from stages.config import settings
from stages.errors import TableError
from stages.feedback import advice, significance, slices, themes
from stages.feedback.shortfall import Losses, shortfalls
from stages.feedback.slices import Column
from stages.records import (
    ADAPTER,
    BASE,
    Frame,
    Item,
    PictureScore,
    Quality,
    Report,
    Request,
    Ruling,
    Sample,
    Slice,
    Weight,
)

log = logging.getLogger(__name__)

Count = Annotated[int, Field(gt=0)]
Members = NDArray[np.bool_]  # which of the held-out pictures


@settings
class Config:
    """Which slices are tested, how sure one must be, and what a flagged one leads to."""

    metric: str  # of ``PictureScore``, a positive one of which less is better
    columns: tuple[Column, ...]
    pairs: tuple[tuple[Column, Column], ...]
    large_face: Annotated[float, Field(gt=0, lt=1)]  # share of the picture
    min_face_score: Annotated[float, Field(ge=0, le=1)]
    themes: Count  # at most
    min_pictures: Count  # held out, in a slice and in the rest
    min_groups: Count  # likewise
    false_alarms: Annotated[float, Field(gt=0, lt=1)]  # share of what is flagged
    resamples: Count
    seed: int
    boost: Annotated[float, Field(ge=0)]  # of the weight, for each standard deviation
    most_weight: Annotated[float, Field(ge=1)]
    most_wanted: Annotated[int, Field(ge=0)]  # pictures of one request
    words: Count  # of one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One plain picture of the subject, and the slices it lies in."""

    sample: Sample
    slices: frozenset[str]


def run(
    config: Config,
    *,
    crawled: Path,
    frames: Path,
    measured: Path,
    cleaned: Path,
    prepared: Path,
    evaluated: Path,
    out: Path,
) -> Report:
    """Write every tested ``Slice``, and a ``Request`` and ``Weight`` rows where some are flagged.

    What counts of a picture is the adapter's loss beside the base's (see ``shortfall``), so that one that is hard for both
    is not taken for one that was not taught. It asks for pictures to be found, and never reads what was generated.

    Raises:
        TableError: when evaluate left no loss of single pictures by base and adapter, or one that is not above 0.
    """
    (ruling,) = tables.read(cleaned, Ruling)
    pictures = _pictures(config, ruling, crawled, frames, measured, prepared)
    known = log_losses(tables.rows(evaluated, PictureScore), config.metric)
    heldout = [each for each in pictures if each.sample.id in known]
    losses = Losses(*np.array([known[each.sample.id] for each in heldout]).reshape(-1, 2).T)
    trained = [each for each in pictures if each.sample.split == "train"]
    tested = flagged(heldout, trained, losses, config)
    behind = [each for each in tested if each.flagged]
    by_slice = {each.id: _weight(each, config) for each in behind}
    weights = advice.weights({each.sample.frame: each.slices for each in trained}, by_slice) if behind else {}
    requests = [_request(each, by_slice[each.id], pictures, ruling, config) for each in behind]
    tables.write(out, Slice, tested)
    tables.write(out, Request, [each for each in requests if each.count])
    tables.write(out, Weight, [Weight(id=id, weight=weight) for id, weight in weights.items()])
    for row in sorted(tested, key=lambda each: each.q)[:8]:
        log.info("  %s", _line(row))
    return {
        "heldout": len(heldout),
        "tested": len(tested),
        "flagged": len(behind),
        "wanted": sum(each.count for each in requests),
        "largest_weight": max(weights.values(), default=1.0),
    }


def log_losses(scores: Iterable[PictureScore], metric: str) -> dict[str, tuple[float, float]]:
    """The logarithms of base's and adapter's loss by the id of each held-out sample."""
    by_arm: dict[str, dict[str, float]] = {BASE: {}, ADAPTER: {}}
    for score in scores:
        if score.metric == metric and score.arm in by_arm:
            by_arm[score.arm][score.sample] = score.value
    base, adapter = by_arm[BASE], by_arm[ADAPTER]
    if not base or base.keys() != adapter.keys() or min(*base.values(), *adapter.values()) <= 0:
        raise TableError(
            f"feedback.metric: evaluate left no {metric!r} above 0 for each held-out picture by base and adapter; "
            "name one that it has, as heldout_loss"
        )
    return {sample: (math.log(base[sample]), math.log(adapter[sample])) for sample in base}


def flagged(heldout: Sequence[Picture], trained: Sequence[Picture], losses: Losses, config: Config) -> list[Slice]:
    """Every slice with enough support, tested against the rest; of slices that hold the same pictures, the first by name.

    ``losses`` are those of ``heldout``, in its order.
    """
    groups = [each.sample.group for each in heldout]
    members = _supported(heldout, groups, config)
    if not members:
        return []
    members_NM = np.stack(list(members.values()), axis=1)
    effect_M, p_M = shortfalls(losses, groups, members_NM, resamples=config.resamples, seed=config.seed)
    q_M = significance.q_values(p_M)
    return [
        Slice(
            id=name,
            samples=tuple(each.sample.id for each in heldout if name in each.slices),
            groups=_groups(groups, inside),
            trained=sum(name in each.slices for each in trained),
            learned=float(losses.learned[inside].mean()),
            rest=float(losses.learned[~inside].mean()),
            effect=float(effect),
            p=float(p),
            q=float(q),
            flagged=bool(q <= config.false_alarms and effect > 0),
        )
        for (name, inside), effect, p, q in zip(members.items(), effect_M, p_M, q_M, strict=True)
    ]


def _supported(heldout: Sequence[Picture], groups: Sequence[str], config: Config) -> dict[str, Members]:
    """The slices that are large enough, and whose rest is."""
    found: dict[bytes, tuple[str, Members]] = {}
    for name in sorted({name for each in heldout for name in each.slices}, key=lambda name: (name.count("&"), name)):
        inside = np.array([name in each.slices for each in heldout])
        if _has_support(inside, groups, config) and _has_support(~inside, groups, config):
            found.setdefault(inside.tobytes(), (name, inside))
    return dict(found.values())


def _has_support(side: Members, groups: Sequence[str], config: Config) -> bool:
    return bool(side.sum() >= config.min_pictures and _groups(groups, side) >= config.min_groups)


def _groups(groups: Sequence[str], inside: Members) -> int:
    return len({group for group, is_inside in zip(groups, inside, strict=True) if is_inside})


def _pictures(
    config: Config, ruling: Ruling, crawled: Path, frames: Path, measured: Path, prepared: Path
) -> list[Picture]:
    items, stills = tables.by_id(crawled, Item), tables.by_id(frames, Frame)
    quality = tables.by_id(measured, Quality)
    plain = [each for each in tables.rows(prepared, Sample) if each.role == "subject" and not each.variant]
    theme_of = _themes([sample.text for sample in plain], config)
    found = []
    for sample in plain:
        item = rights.as_ruled(items[stills[sample.frame].item], ruling)
        traits = _traits(sample, item, quality[sample.frame], config) | {"theme": theme_of[sample.text]}
        found.append(Picture(sample=sample, slices=frozenset(slices.of(traits, config.columns, config.pairs))))
    return found


def _themes(texts: Sequence[str], config: Config) -> dict[str, frozenset[str]]:
    """The theme of each of ``texts``, or none; sought only where a slice is made of it."""
    if "theme" not in {*config.columns, *chain.from_iterable(config.pairs)}:
        return dict.fromkeys(texts, frozenset())
    found = themes.themes(texts, most=config.themes, seed=config.seed)
    return {text: frozenset([theme] if theme else []) for text, theme in found.items()}


def _traits(sample: Sample, item: Item, quality: Quality, config: Config) -> dict[Column, frozenset[str]]:
    """What a picture has in each column but its theme, which is a matter of all captions together."""
    face = slices.face(
        quality.faces, quality.width * quality.height, large=config.large_face, min_score=config.min_face_score
    )
    return {
        "bucket": frozenset([slices.bucket(sample.width, sample.height)]),
        "source": frozenset([slices.site(item)]),
        "licence": frozenset([slices.licence_class(item.licence)]),
        "word": frozenset(slices.words(sample.text)),
        "face": frozenset([face]),
    }


def _weight(behind: Slice, config: Config) -> float:
    return advice.slice_weight(behind.effect, boost=config.boost, most=config.most_weight)


def _request(behind: Slice, weight: float, pictures: Sequence[Picture], ruling: Ruling, config: Config) -> Request:
    """What to look for to make up for ``behind``. One that training hardly has is asked for by what is held out of it."""
    texts = [each.sample.text for each in pictures if behind.id in each.slices]
    return Request(
        id=behind.id,
        words=slices.commonest(texts, first=slices.value(behind.id, "word"), most=config.words),
        site=next(iter(slices.value(behind.id, "source")), ""),
        policy=ruling.policy,
        count=advice.wanted(max(behind.trained, len(behind.samples)), weight, most=config.most_wanted),
    )


def _line(row: Slice) -> str:
    """One slice in fewer than 100 columns."""
    mark = "behind" if row.flagged else ""
    return (
        f"{row.id:40} {row.learned:7.3f} beside {row.rest:7.3f}  {row.effect:5.2f} sd  q {row.q:.4f}  {mark}".rstrip()
    )
