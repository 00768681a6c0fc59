"""Make people unrecognisable who did not agree; what has no such people is left where it lies."""

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from stages import machine, plugins, rights, shards, tables
from stages.anonymise.redact import Method, redact
from stages.config import settings
from stages.detectors import Detector
from stages.errors import ImageError
from stages.images import Pixels, decode, encode_png
from stages.records import Consent, Frame, Item, Quality, Redaction, Region, Report, Scope, Verdict

log = logging.getLogger(__name__)

ROUNDS = 4  # how often a redacted picture is searched again before it is given up on


@settings
class Config:
    """Which faces are redacted, and how."""

    faces: Literal["without consent", "all", "none"]
    method: Method
    margin: Annotated[float, Field(ge=0, le=1)]  # of the face, added on every side
    detector: dict[str, Any]  # the one that ``measure`` used
    shard_digits: Annotated[int, Field(ge=1, le=4)]
    publish: bool  # the weights leave the house, and a consent must cover that
    consent_on: date  # the day on which a consent must count


def run(config: Config, *, crawled: Path, frames: Path, measured: Path, cleaned: Path, out: Path) -> Report:
    """Write a ``Redaction`` and new pixels for each kept frame with a face that the policy wants gone.

    Raises:
        ImageError: when the detector still finds a face after several rounds: then nobody can promise anything.
    """
    kept = {verdict.id for verdict in tables.read(cleaned, Verdict) if verdict.keep}
    items, faces = tables.by_id(crawled, Item), {each.id: each.faces for each in tables.read(measured, Quality)}
    detect: Detector = plugins.build("stages.detectors", config.detector)
    stores = {"crawl": crawled, "frames": frames}
    found = [frame for frame in tables.read(frames, Frame) if frame.id in kept and faces[frame.id]]
    scopes: tuple[Scope, ...] = ("train", "publish") if config.publish else ("train",)
    known = rights.consents(tables.read(crawled, Consent), on=config.consent_on, scopes=scopes)
    for void in rights.void_consents((items[frame.item] for frame in found), known):
        log.warning("anonymise: consent %s, so it counts as none; see data/own/consent.yaml", void)
    chosen = [frame for frame in found if must_go(items[frame.item], config.faces, known)]

    def redacted(frame: Frame) -> tuple[bytes, int]:
        pixels = decode(shards.read(stores[frame.store], frame.place))
        return _until_none(pixels, faces[frame.id], detect, config, where=items[frame.item].url)

    results = dict(zip([frame.id for frame in chosen], machine.each(redacted, chosen, label="anonymise"), strict=True))
    places = shards.write(out, {id: png for id, (png, _) in results.items()}, digits=config.shard_digits)
    tables.write(out, Redaction, [Redaction(id=id, faces=n, place=places[id]) for id, (_, n) in results.items()])
    return {"redacted": len(results), "with_consent": len(found) - len(chosen)}


def must_go(item: Item, policy: Literal["without consent", "all", "none"], known: Mapping[str, str]) -> bool:
    """Whether the faces in ``item`` are to be made unrecognisable; ``known`` is from ``rights.consents``."""
    return policy == "all" or (policy == "without consent" and not rights.consented(item, known))


def _until_none(
    pixels: Pixels, faces: tuple[Region, ...], detect: Detector, config: Config, *, where: str
) -> tuple[bytes, int]:
    """``pixels`` as PNG, redacted until ``detect`` finds nothing, and how many regions that took."""
    count = 0
    for _ in range(ROUNDS):
        pixels = redact(pixels, faces, method=config.method, margin=config.margin)
        count += len(faces)
        faces = detect(pixels)
        if not faces:
            return encode_png(pixels), count
    raise ImageError(
        f"{where}: the detector still finds a face after {ROUNDS} rounds; set anonymise.method=fill or block it"
    )
