"""Training-ready pictures: cropped to buckets, augmented, and split so that nothing leaks."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, NamedTuple, Self

import cv2
import numpy as np
from pydantic import Field, model_validator

from stages import attribution, machine, rights, rounds, shards, tables
from stages.config import settings
from stages.errors import TableError
from stages.images import Pixels, decode, encode_png
from stages.prepare import augment, buckets, crops, splits
from stages.records import (
    Caption,
    Consent,
    Failure,
    Frame,
    Item,
    Mask,
    Quality,
    Redaction,
    Region,
    Report,
    Role,
    Ruling,
    Sample,
    Split,
)

MASK = "-mask"  # after a sample's id: the name of its mask
Side = Annotated[int, Field(gt=0, multiple_of=8)]  # pixels; latents are an eighth


@settings
class Config:
    """Sizes, split and augmentation."""

    buckets: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)]  # width and height in pixels
    side_multiple: Annotated[int, Field(gt=0)]  # pixels: what the family's network takes in one piece
    heldout: Annotated[float, Field(ge=0, lt=1)]  # share of pictures, in whole groups
    group_distance: Annotated[int, Field(ge=-1, le=256)]  # bits of the hash; nearer pictures never cross the split
    salt: str  # another salt, another split
    follow_weights: bool  # of the round before: how often training draws each picture
    crop: crops.Config
    augment: augment.Config
    publish: bool  # the weights leave the house, and the consent of whoever is made the subject must cover that
    consent_on: date  # the day on which a consent must count
    seed: int
    shard_digits: Annotated[int, Field(ge=1, le=4)]

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        """Refuse sizes that the family's network would stumble over, after hours."""
        for width, height in self.buckets:
            if width % self.side_multiple or height % self.side_multiple:
                raise ValueError(
                    f"a bucket of {width} x {height} pixels does not fit the family; both sides must be multiples of "
                    f"{self.side_multiple}"
                )
        return self


def run(
    config: Config,
    *,
    own: Path,
    crawled: Path,
    frames: Path,
    measured: Path,
    cleaned: Path,
    anonymised: Path,
    captioned: Path,
    out: Path,
) -> Report:
    """Write ``Sample`` rows and their pixels: a plain crop of every captioned frame, and variants of those to train on.

    Frames that anonymise gave up on are left out. What a round before this one held out stays held out, with all that is
    near it.

    Raises:
        TableError: when the subject has no picture on one side of the split, or its faces must not or cannot be aligned.
    """
    withstood = {failure.id for failure in tables.read(anonymised, Failure)}
    captions = [caption for caption in tables.read(captioned, Caption) if caption.id not in withstood]
    folders = {"crawl": crawled, "frames": frames, "measure": measured, "clean": cleaned, "anonymise": anonymised}
    jobs = _jobs(captions, folders, config, rounds.heldout(own))
    weights = rounds.weights(own) if config.follow_weights else {}
    work = partial(prepared, config=config, stores=folders)
    made, lost, masked = list[tuple[Job, Variant]](), list[float](), list[str]()
    with shards.Writer(out, digits=config.shard_digits) as writer:
        for job, (share, variants) in zip(jobs, machine.each(work, jobs, label="prepare"), strict=True):
            lost.append(share)
            for variant, png, mask in variants:
                made.append((job, variant))
                writer.add(variant.id, png)
                if mask:
                    masked.append(variant.id)
                    writer.add(f"{variant.id}{MASK}", mask)
    samples = [
        _sample(job, variant, weights.get(job.caption.id, 1.0), writer.places[variant.id]) for job, variant in made
    ]
    tables.write(out, Sample, samples)
    tables.write(out, Mask, [Mask(id=id, place=writer.places[f"{id}{MASK}"]) for id in masked])
    return {**_report(samples), **_losses(lost), "left_out": len(withstood), "masked": len(masked)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One captioned frame, where its pixels are, and what is to become of it."""

    caption: Caption
    item: Item
    store: str  # the stage whose shards hold the pixels: anonymise, where it redacted them
    place: shards.Place
    mask: shards.Place | None  # in crawl's shards
    face: Region | None  # that the crop is about
    split: Split
    group: str


class Variant(NamedTuple):
    """One picture that was made of a frame."""

    id: str
    number: int
    bucket: buckets.Bucket
    source: tuple[int, int]  # width and height of the whole picture
    corner: tuple[int, int]  # left and top: see ``Sample``
    digest: str


def prepared(
    job: Job, *, config: Config, stores: Mapping[str, Path]
) -> tuple[float, list[tuple[Variant, bytes, bytes]]]:
    """Which share of the picture its plain crop lost, and the crop and its variants, each as PNG, with its mask or none.

    Raises:
        TableError: when the mask has another size than the picture.
    """
    pixels = decode(shards.read(stores[job.store], job.place))
    if job.mask is not None:
        pixels = _with_mask(pixels, decode(shards.read(stores["crawl"], job.mask)), job.item)
    source = (pixels.shape[1], pixels.shape[0])
    bucket = buckets.nearest(*source, config.buckets)
    crop = crops.crop(pixels, bucket, job.face, config.crop)
    pictures = [augment.Augmented(crop.plain, crop.window, mirrored=False)]
    if job.split == "train":
        seeds = (_seed(config.seed, job.caption.id, number + 1) for number in range(config.augment.variants))
        pictures += [augment.augmented(crop.source, bucket, config.augment, seed=seed) for seed in seeds]
    mirror = buckets.mirrored(crop.whole, crop.source.shape[1])
    made = []
    for number, picture in enumerate(pictures):
        corner = buckets.corner(picture.window, mirror if picture.mirrored else crop.whole, bucket)
        png = attribution.encode_png(np.ascontiguousarray(picture.pixels[..., :3]), job.item)
        mask = encode_png(np.ascontiguousarray(picture.pixels[..., 3])) if job.mask is not None else b""
        digest = hashlib.sha256(png).hexdigest()
        made.append((Variant(f"{job.caption.id}-{number:02d}", number, bucket, source, corner, digest), png, mask))
    return crop.lost, made


def _with_mask(pixels: Pixels, mask: Pixels, item: Item) -> Pixels:
    """``pixels`` with the grey of ``mask`` as a fourth channel."""
    if mask.shape != pixels.shape:
        theirs, its = (f"{each.shape[1]} x {each.shape[0]}" for each in (mask, pixels))
        raise TableError(
            f"prepare: the mask of {item.url} has {theirs} pixels and the picture {its}; draw it in that size"
        )
    return np.dstack([pixels, cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY)])


def _jobs(captions: list[Caption], folders: Mapping[str, Path], config: Config, held: frozenset[str]) -> list[Job]:
    """A job for each of ``captions``. A face that was redacted is none that a crop could be about."""
    kept = {caption.id for caption in captions}
    rows = {frame.id: frame for frame in tables.read(folders["frames"], Frame) if frame.id in kept}
    (ruling,) = tables.read(folders["clean"], Ruling)
    items = {item.id: rights.as_ruled(item, ruling) for item in tables.read(folders["crawl"], Item)}
    quality = tables.by_id(folders["measure"], Quality)
    redacted = {row.id: row.place for row in tables.read(folders["anonymise"], Redaction)}
    masks = {row.id: row.place for row in tables.read(folders["crawl"], Mask)}
    group = _groups(list(rows.values()), items, quality, config)
    side = _sides(captions, group, config, held)
    faces = {id: crops.largest(quality[id].faces, min_score=config.crop.min_score) for id in kept}
    if config.crop.mode == "aligned":
        subjects = [(items[rows[each.id].item], faces[each.id]) for each in captions if each.role == "subject"]
        scopes = rights.needed(publish=config.publish)
        records = tables.read(folders["crawl"], Consent)
        _check_faces(subjects, rights.consents(records, on=config.consent_on, scopes=scopes))
    return [
        Job(
            caption=caption,
            item=items[rows[caption.id].item],
            store="anonymise" if caption.id in redacted else rows[caption.id].store,
            place=redacted.get(caption.id, rows[caption.id].place),
            mask=masks.get(caption.id),
            face=None if caption.id in redacted else faces[caption.id],
            split=side[caption.id],
            group=group[caption.id],
        )
        for caption in captions
    ]


def _check_faces(subjects: list[tuple[Item, Region | None]], known: Mapping[str, str]) -> None:
    """A person's face is only made a subject where that person agreed, and only set upright by its landmarks."""
    shown = [(item, face) for item, face in subjects if face is not None]
    without = [item.url for item, _ in shown if not rights.consented(item, known)]
    if without:
        raise TableError(
            f"prepare: crop.mode aligned makes faces the subject, and {len(without)} of {len(shown)} pictures that show one have "
            f"no consent record that counts, {without[0]} the first; give one for each in data/own, or set prepare.crop.mode=face"
        )
    if not all(face.landmarks for _, face in shown):
        raise TableError(
            "prepare: crop.mode aligned needs eyes, nose and mouth, which this detector does not find; set detector=centerface"
        )


def _groups(frames: list[Frame], items: dict[str, Item], quality: dict[str, Quality], config: Config) -> dict[str, str]:
    """Pictures of one page, stills of one video, near-duplicates and what the user says belong together."""
    ids = [frame.id for frame in frames]
    page = {frame.id: items[frame.item].page or frame.item for frame in frames}
    video = {frame.id: frame.item for frame in frames}
    said = {frame.id: items[frame.item].group or frame.item for frame in frames}
    near = splits.near_pairs(ids, [quality[id].hash for id in ids], distance=config.group_distance)
    return splits.groups(ids, (page, video, said), near)


def _sides(captions: list[Caption], grouped: dict[str, str], config: Config, held: frozenset[str]) -> dict[str, Split]:
    """The side of each frame. A group that holds both roles counts with the subject, and falls whole.

    A group with a frame of ``held`` is held out.
    """
    roles: dict[str, Role] = {}
    for caption in captions:
        if roles.get(grouped[caption.id]) != "subject":
            roles[grouped[caption.id]] = caption.role
    sizes = Counter(grouped.values())
    again = frozenset(group for id, group in grouped.items() if id in held)
    side: dict[str, Split] = {}
    for role in ("subject", "prior"):
        chosen = {group: size for group, size in sizes.items() if roles[group] == role}
        side |= splits.sides(chosen, heldout=config.heldout, salt=config.salt, held=again)
    if config.heldout and {side[group] for group, role in roles.items() if role == "subject"} != {"train", "heldout"}:
        raise TableError(
            "prepare: all pictures of the subject are near-duplicates, of one page, or of one group by their names or "
            "rights.yaml, so none can be held out; add others, or say in rights.yaml which belong together (group)"
        )
    return {id: side[group] for id, group in grouped.items()}


def _seed(seed: int, frame: str, number: int) -> int:
    """Of one variant, so that adding a picture changes no other."""
    return int.from_bytes(hashlib.sha256(f"{seed} {frame} {number}".encode()).digest()[:4], "big")


def _sample(job: Job, variant: Variant, weight: float, place: shards.Place) -> Sample:
    return Sample(
        id=variant.id,
        frame=job.caption.id,
        variant=variant.number,
        text=job.caption.text,
        role=job.caption.role,
        split=job.split,
        group=job.group,
        width=variant.bucket[0],
        height=variant.bucket[1],
        source_width=variant.source[0],
        source_height=variant.source[1],
        crop_left=variant.corner[0],
        crop_top=variant.corner[1],
        digest=variant.digest,
        weight=weight,
        place=place,
    )


def _report(samples: list[Sample]) -> Report:
    plain = Counter(f"{sample.role}/{sample.split}" for sample in samples if not sample.variant)
    return {"samples": len(samples), "groups": len({sample.group for sample in samples}), **dict(sorted(plain.items()))}


def _losses(shares: Sequence[float]) -> Report:
    """How much of the pictures' area the plain crops left out."""
    return {"mean_lost": round(fmean(shares), 4), "most_lost": round(max(shares), 4)} if shares else {}
