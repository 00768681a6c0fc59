"""Training-ready pictures: cropped to buckets, augmented, and split so that nothing leaks."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from stages import machine, shards, tables
from stages.config import settings
from stages.errors import TableError
from stages.images import Pixels, decode, encode_png
from stages.prepare import augment, buckets, splits
from stages.records import Caption, Frame, Item, Quality, Redaction, Report, Role, Sample, Split

Side = Annotated[int, Field(gt=0, multiple_of=8)]  # pixels; latents are an eighth


@settings
class Config:
    """Sizes, split and augmentation."""

    buckets: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)]  # width and height in pixels
    heldout: Annotated[float, Field(ge=0, lt=1)]  # share of pictures, in whole groups
    group_distance: Annotated[int, Field(ge=-1, le=256)]  # bits of the hash; nearer pictures never cross the split
    salt: str  # another salt, another split
    augment: augment.Config
    seed: int
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(
    config: Config, *, crawled: Path, frames: Path, measured: Path, anonymised: Path, captioned: Path, out: Path
) -> Report:
    """Write ``Sample`` rows and their pixels: a plain crop of every captioned frame, and variants of those to train on.

    Raises:
        TableError: when the subject has no picture on one side of the split.
    """
    captions = tables.read(captioned, Caption)
    kept = {caption.id for caption in captions}
    rows = {frame.id: frame for frame in tables.read(frames, Frame) if frame.id in kept}
    pixels = _reader(rows, {"crawl": crawled, "frames": frames}, anonymised)
    grouped = _groups(list(rows.values()), tables.by_id(crawled, Item), tables.by_id(measured, Quality), config)
    side = _sides(captions, grouped, config)

    def prepared(caption: Caption) -> list[tuple[str, bytes, Bucketed]]:
        return list(_variants(pixels(caption.id), caption.id, side[caption.id], config))

    files, sizes = dict[str, bytes](), dict[str, Bucketed]()
    for variants in machine.each(prepared, captions, label="prepare"):
        for id, png, bucketed in variants:
            files[id], sizes[id] = png, bucketed
    places = shards.write(out, files, digits=config.shard_digits)
    by_id = {caption.id: caption for caption in captions}
    samples = [
        Sample(
            id=id,
            frame=frame,
            variant=variant,
            text=by_id[frame].text,
            role=by_id[frame].role,
            split=side[frame],
            group=grouped[frame],
            width=width,
            height=height,
            place=places[id],
        )
        for id, (frame, variant, (width, height)) in sizes.items()
    ]
    tables.write(out, Sample, samples)
    return _report(samples)


Bucketed = tuple[str, int, buckets.Bucket]  # frame, variant, bucket


def _reader(rows: dict[str, Frame], stores: dict[str, Path], anonymised: Path) -> Callable[[str], Pixels]:
    """What reads a frame's pixels: the redacted ones where there are such."""
    redacted = {row.id: row.place for row in tables.read(anonymised, Redaction)}

    def pixels(id: str) -> Pixels:
        if id in redacted:
            return decode(shards.read(anonymised, redacted[id]))
        return decode(shards.read(stores[rows[id].store], rows[id].place))

    return pixels


def _groups(frames: list[Frame], items: dict[str, Item], quality: dict[str, Quality], config: Config) -> dict[str, str]:
    """Pictures of one page, stills of one video and near-duplicates belong together."""
    ids = [frame.id for frame in frames]
    page = {frame.id: items[frame.item].page or frame.item for frame in frames}
    video = {frame.id: frame.item for frame in frames}
    near = splits.near_pairs(ids, [quality[id].hash for id in ids], distance=config.group_distance)
    return splits.groups(ids, (page, video), near)


def _sides(captions: list[Caption], grouped: dict[str, str], config: Config) -> dict[str, Split]:
    """The side of each frame. A group that holds both roles counts with the subject, and falls whole."""
    roles: dict[str, Role] = {}
    for caption in captions:
        if roles.get(grouped[caption.id]) != "subject":
            roles[grouped[caption.id]] = caption.role
    sizes = Counter(grouped.values())
    side: dict[str, Split] = {}
    for role in ("subject", "prior"):
        chosen = {group: size for group, size in sizes.items() if roles[group] == role}
        side |= splits.sides(chosen, heldout=config.heldout, salt=config.salt)
    if config.heldout and {side[group] for group, role in roles.items() if role == "subject"} != {"train", "heldout"}:
        raise TableError(
            "prepare: all pictures of the subject are near-duplicates or of one page, so none can be held out; add others"
        )
    return {id: side[group] for id, group in grouped.items()}


def _variants(pixels: Pixels, frame: str, side: Split, config: Config) -> Iterator[tuple[str, bytes, Bucketed]]:
    bucket = buckets.nearest(pixels.shape[1], pixels.shape[0], config.buckets)
    yield f"{frame}-00", encode_png(buckets.fill(pixels, bucket)), (frame, 0, bucket)
    if side == "train":
        for variant in range(1, config.augment.variants + 1):
            seed = int.from_bytes(hashlib.sha256(f"{config.seed} {frame} {variant}".encode()).digest()[:4], "big")
            yield (
                f"{frame}-{variant:02d}",
                encode_png(augment.augmented(pixels, bucket, config.augment, seed=seed)),
                (frame, variant, bucket),
            )


def _report(samples: list[Sample]) -> Report:
    plain = Counter(f"{sample.role}/{sample.split}" for sample in samples if not sample.variant)
    return {"samples": len(samples), "groups": len({sample.group for sample in samples}), **dict(sorted(plain.items()))}
