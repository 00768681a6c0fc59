"""One picture of the data set with all that one must know to use it, joined from the stages' tables."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from stages import attribution, rights, shards, tables
from stages.images import decode
from stages.records import Consent, Frame, Item, Redaction, Role, Ruling, Sample

SPLITS: dict[str, Literal["train", "test"]] = {"train": "train", "heldout": "test"}  # the names that others know


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture. What it says of rights is what the source stated."""

    id: str  # the sample's
    frame: str
    split: Literal["train", "test"]
    text: str
    role: Role
    group: str  # near-duplicates and pictures of one page share it, and never cross the split
    redacted: int  # regions made unrecognisable
    url: str
    page: str
    title: str
    author: str
    licence: str  # SPDX
    attribution: str
    consent: str
    policy: str  # by which it was chosen
    policy_sha256: str
    use: str  # that the policy was to allow, in words

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.id}.png"

    def facts(self) -> dict[str, str | int]:
        """All fields but the words and the split, which every format has a place of its own for."""
        return {name: value for name, value in asdict(self).items() if name not in ("text", "split")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The folders of the stages whose tables and pixels are read."""

    crawl: Path
    frames: Path
    clean: Path
    anonymise: Path
    prepare: Path


def read(stores: Stores, *, variants: bool) -> list[Entry]:
    """Every prepared sample, sorted by id; without ``variants`` only the plain crops, not the augmented ones.

    Raises:
        TableError: when a stage has not run.
    """
    items, frames = _items(stores), tables.by_id(stores.frames, Frame)
    (ruling,) = tables.read(stores.clean, Ruling)
    redacted = {row.id: row.regions for row in tables.read(stores.anonymise, Redaction)}
    return [
        _entry(sample, items[frames[sample.frame].item], redacted.get(sample.frame, 0), ruling)
        for sample in tables.read(stores.prepare, Sample)
        if variants or not sample.variant
    ]


def shown(entries: Sequence[Entry], records: Sequence[Consent], ruling: Ruling) -> list[Entry]:
    """Those of ``entries`` that may be passed on as pictures, for a model that may be published.

    Consent to training and publishing keeps a face recognisable for the model; that the picture itself is shown is another
    thing to agree to. Where a consent does not count the face was made unrecognisable, and nobody is shown.
    """
    on, scopes = date.fromisoformat(ruling.consent_on), rights.needed(publish=ruling.publish)
    kept = rights.consents(records, on=on, scopes=scopes)
    open_ = rights.consents(records, on=on, scopes=(*scopes, "show"))
    closed = {id for id, void in kept.items() if not void and open_[id]}
    return [entry for entry in entries if entry.consent not in closed]


def prepared(stores: Stores) -> Callable[[Entry], bytes]:
    """What reads an entry's PNG as ``prepare`` left it: cropped to its bucket."""
    places = {sample.id: sample.place for sample in tables.read(stores.prepare, Sample)}
    return lambda entry: shards.read(stores.prepare, places[entry.id])


def whole(stores: Stores) -> Callable[[Entry], bytes]:
    """What reads an entry's picture uncropped, as PNG, redacted where ``anonymise`` saw to it.

    Its only metadata is licence and credit, as in what ``anonymise`` and ``prepare`` write.
    """
    items, frames = _items(stores), tables.by_id(stores.frames, Frame)
    redacted = {row.id: row.place for row in tables.read(stores.anonymise, Redaction)}
    folders = {"crawl": stores.crawl, "frames": stores.frames}

    def pixels(entry: Entry) -> bytes:
        if entry.frame in redacted:
            return shards.read(stores.anonymise, redacted[entry.frame])
        frame = frames[entry.frame]
        return attribution.encode_png(decode(shards.read(folders[frame.store], frame.place)), items[frame.item])

    return pixels


def _items(stores: Stores) -> dict[str, Item]:
    """Every item by its id, with the licence that ``clean`` went by."""
    (ruling,) = tables.read(stores.clean, Ruling)
    return {item.id: rights.as_ruled(item, ruling) for item in tables.read(stores.crawl, Item)}


def _entry(sample: Sample, item: Item, redacted: int, ruling: Ruling) -> Entry:
    return Entry(
        id=sample.id,
        frame=sample.frame,
        split=SPLITS[sample.split],
        text=sample.text,
        role=sample.role,
        group=sample.group,
        redacted=redacted,
        url=item.url,
        page=item.page,
        title=item.title,
        author=item.author,
        licence=item.licence,
        attribution=rights.attribution(item),
        consent=item.consent,
        policy=ruling.policy,
        policy_sha256=ruling.id,
        use=rights.use(ruling),
    )
