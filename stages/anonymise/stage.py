"""Make people unrecognisable who did not agree, and what else the policy names; other pictures stay where they lie."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stages import attribution, machine, plugins, rights, shards, tables
from stages.anonymise.redact import Method, redact
from stages.config import settings
from stages.detectors import Detector
from stages.failures import check
from stages.images import Pixels, decode
from stages.records import Consent, Failure, Frame, Item, Quality, Redaction, Region, Report, Ruling, Verdict

log = logging.getLogger(__name__)

ROUNDS = 4  # how often a redacted picture is searched again before it is given up on

Whose = Literal["without consent", "all", "none"]


@settings
class Policy:
    """Whose regions of one kind are redacted, and how."""

    whose: Whose  # "none": nothing of this kind is looked for
    method: Method
    margin: Annotated[float, Field(ge=0, le=1)]  # of the region, added on every side
    detector: dict[str, Any]  # one of ``stages.detectors``


@settings
class Config:
    """What is redacted, and how many pictures may withstand it."""

    regions: dict[str, Policy]  # by what is looked for: faces, words
    detector: dict[str, Any]  # the one that ``measure`` used; where a policy has the same, that search is not repeated
    max_failures: Annotated[float, Field(ge=0, le=1)]  # share of the kept frames
    shard_digits: Annotated[int, Field(ge=1, le=4)]
    publish: bool  # the weights leave the house, and a consent must cover that
    consent_on: date  # the day on which a consent must count


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of region with what finds it."""

    name: str
    policy: Policy
    detect: Detector
    measured: bool  # whether ``Quality.faces`` says where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One kept frame, and what has to go from it."""

    frame: Frame
    item: Item
    faces: tuple[Region, ...]  # by ``measure``
    kinds: tuple[str, ...]


def run(config: Config, *, crawled: Path, frames: Path, measured: Path, cleaned: Path, out: Path) -> Report:
    """Write a ``Redaction`` and new pixels for each kept frame that shows what a policy wants gone.

    A frame in which that is still found after several rounds is a ``Failure`` and has no pixels here: nobody can promise
    anything of it, and no later stage may use it.

    Raises:
        ImageError: when more frames failed than ``max_failures`` allows.
    """
    kinds = _kinds(config)
    kept = {verdict.id for verdict in tables.read(cleaned, Verdict) if verdict.keep}
    (ruling,) = tables.read(cleaned, Ruling)
    items = {item.id: rights.as_ruled(item, ruling) for item in tables.read(crawled, Item)}
    faces = {each.id: each.faces for each in tables.read(measured, Quality)}
    shown = [frame for frame in tables.read(frames, Frame) if frame.id in kept]
    known = _consents(crawled, [items[frame.item] for frame in shown if faces[frame.id]], config)
    jobs = [_job(frame, items[frame.item], faces[frame.id], kinds, known) for frame in shown]
    work = partial(redacted, kinds=kinds, stores={"crawl": crawled, "frames": frames})
    counts, failures = dict[str, int](), list[Failure]()
    with shards.Writer(out, digits=config.shard_digits) as writer:
        chosen = [job for job in jobs if job.kinds]
        for job, result in zip(chosen, machine.each(work, chosen, label="anonymise"), strict=True):
            if isinstance(result, Failure):
                failures.append(result)
            elif result is not None:
                png, counts[job.frame.id] = result
                writer.add(job.frame.id, png)
    rows = [Redaction(id=id, regions=count, place=writer.places[id]) for id, count in counts.items()]
    tables.write(out, Redaction, rows)
    tables.write(out, Failure, failures)
    cure = "choose method fill or a wider margin, or block them in clean.blocklist"
    check(failures, len(jobs), most=config.max_failures, where="anonymise", cure=cure)
    spared = sum(bool(job.faces and rights.consented(job.item, known)) for job in jobs if job.frame.id not in counts)
    return {"redacted": len(rows), "regions": sum(counts.values()), "with_consent": spared, "failed": len(failures)}


def must_go(item: Item, whose: Whose, known: Mapping[str, str]) -> bool:
    """Whether such regions of ``item`` are to be made unrecognisable; ``known`` is from ``rights.consents``."""
    return whose == "all" or (whose == "without consent" and not rights.consented(item, known))


def redacted(job: Job, *, kinds: Mapping[str, Kind], stores: Mapping[str, Path]) -> tuple[bytes, int] | Failure | None:
    """The frame of ``job`` as PNG, and how many regions were redacted; ``None`` when it shows nothing that has to go."""
    pixels = decode(shards.read(stores[job.frame.store], job.frame.place))
    chosen = [kinds[name] for name in job.kinds]
    found = [job.faces if kind.measured else kind.detect(pixels) for kind in chosen]
    if not any(found):
        return None
    pixels, count, left = until_none(pixels, chosen, found)
    if left:
        reason = f"{' and '.join(left)} still found after {ROUNDS} rounds"
        return Failure(id=job.frame.id, what=job.item.url, reason=reason)
    return attribution.encode_png(pixels, job.item), count


def until_none(
    pixels: Pixels, kinds: Sequence[Kind], found: Sequence[Sequence[Region]]
) -> tuple[Pixels, int, list[str]]:
    """``pixels`` redacted until no kind is ``found``, how many regions that took, and which kinds are found all the same."""
    count = 0
    for _ in range(ROUNDS):
        for kind, regions in zip(kinds, found, strict=True):
            pixels = redact(pixels, regions, method=kind.policy.method, margin=kind.policy.margin)
            count += len(regions)
        found = [kind.detect(pixels) for kind in kinds]
        if not any(found):
            break
    return pixels, count, [kind.name for kind, regions in zip(kinds, found, strict=True) if regions]


def _kinds(config: Config) -> dict[str, Kind]:
    """The kinds that are looked for at all: the weights of others need not be there."""
    return {
        name: Kind(
            name=name,
            policy=policy,
            detect=plugins.build("stages.detectors", policy.detector),
            measured=policy.detector == config.detector,
        )
        for name, policy in config.regions.items()
        if policy.whose != "none"
    }


def _consents(crawled: Path, items: Sequence[Item], config: Config) -> dict[str, str]:
    """Which consents count, with a word on those that ``items`` name and that do not."""
    scopes = rights.needed(publish=config.publish)
    known = rights.consents(tables.read(crawled, Consent), on=config.consent_on, scopes=scopes)
    for void in rights.void_consents(items, known):
        log.warning("anonymise: consent %s, so it counts as none; see data/own/consent.yaml", void)
    return known


def _job(
    frame: Frame, item: Item, faces: tuple[Region, ...], kinds: Mapping[str, Kind], known: Mapping[str, str]
) -> Job:
    """What has to go from ``frame``; a picture in which ``measure`` found no face is not searched for them again."""
    names = [
        name for name, kind in kinds.items() if must_go(item, kind.policy.whose, known) and (faces or not kind.measured)
    ]
    return Job(frame=frame, item=item, faces=faces, kinds=tuple(names))
