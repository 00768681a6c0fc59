"""Latents and text embeddings, once, for every later training run; what was encoded before is taken from the cache folder."""

import dataclasses
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field
from tqdm import tqdm

from stages import embeddings, families, machine, shards, tables, tensors
from stages.config import settings
from stages.encode import memory
from stages.encode.memory import Named
from stages.errors import TableError
from stages.families import Family
from stages.images import decode
from stages.pipelines import Precision
from stages.records import Mask, Report, Sample

log = logging.getLogger(__name__)

LOST = "lost/"  # how many tokens a tokenizer loses of a text is kept under this and the tokenizer's name


@settings
class Config:
    """Which family encodes."""

    family: str
    base_precision: Precision  # of the frozen weights
    long_captions: Literal["cut", "refuse"]  # what becomes of one that is longer than an encoder takes
    threads: Annotated[int, Field(gt=0)]  # of torch: another number gives other bits
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, base: Path, prepared: Path, out: Path) -> Report:
    """Write the latents of each ``Sample`` under its id, and the embedding of each text, the empty one too.

    Each is encoded by itself: in a batch the last bits would depend on its neighbours. Where nothing is new, no model is
    loaded.

    Raises:
        TableError: when a caption is longer than an encoder takes and ``config`` refuses such.
    """
    machine.use_threads(config.threads)
    family = families.build(config.family, base, precision=config.base_precision)
    samples = tables.by_id(prepared, Sample)
    texts = {embeddings.key(text): text for text in ("", *(sample.text for sample in samples.values()))}
    encoder = Encoder(config, family, base, prepared)
    out.mkdir(parents=True, exist_ok=True)
    _write(out, "prompts", sorted(texts), lambda key: encoder.prompts(key, texts[key]), config)
    report = _long(encoder.lost, samples.values(), refuse=config.long_captions == "refuse")
    _write(out, "latents", sorted(samples), lambda name: encoder.latents(samples[name]), config)
    masks = tables.by_id(prepared, Mask)
    _write(out, "masks", sorted(masks), lambda name: encoder.mask(samples[name], masks[name]), config)
    _write(out, "pictures", sorted(samples), lambda name: encoder.pictures(samples[name]), config)
    log.info(
        "encode: %d of %d pictures and %d of %d texts were new",
        encoder.new["latents"], len(samples), encoder.new["prompts"], len(texts),
    )  # fmt: skip
    return {"latents": len(samples), "prompts": len(texts), **report}


class Encoder:
    """The family's encoders over a store of what they gave before; ``new`` counts what it did not hold.

    ``lost`` is how many tokens of each text that was encoded each encoder did not take, by the name of its tokenizer.
    """

    def __init__(self, config: Config, family: Family, base: Path, prepared: Path) -> None:
        self.new = {"latents": 0, "prompts": 0}
        self.lost: dict[str, dict[str, int]] = {}
        self._family, self._prepared = family, prepared
        how = dataclasses.asdict(config) | memory.surroundings()
        del how["shard_digits"], how["long_captions"]  # where and whether, not what
        unused = {"latents": ("text_encoder", "tokenizer"), "prompts": ("vae",)}
        prints = {kind: memory.fingerprint(how, base, without=names) for kind, names in unused.items()}
        self._stores = {kind: machine.cache("encoded") / f"{kind}-{name}" for kind, name in prints.items()}

    def latents(self, sample: Sample) -> Named:
        """The latents of ``sample`` under its id."""

        def encode() -> Named:
            pixels = decode(shards.read(self._prepared, sample.place))
            return {"latents": self._family.encode_pictures(pixels[None])[0]}

        return {sample.id: self._remembered("latents", sample.digest, encode)["latents"]}

    def mask(self, sample: Sample, mask: Mask) -> Named:
        """The mask of ``sample`` in the size of its latents, float32[H, W] of 0 to 1, under its id."""
        import torch

        height, width = self.latents(sample)[sample.id].shape[-2:]
        grey = decode(shards.read(self._prepared, mask.place))[..., 0].astype(np.float32) / 255
        return {sample.id: torch.from_numpy(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))}

    def pictures(self, sample: Sample) -> Named:
        """The conditions of ``sample`` that its words do not give; no model makes them, so they are not kept."""
        return embeddings.named(sample.id, self._family.picture_conditions(sample))

    def prompts(self, key: str, text: str) -> Named:
        """The conditions of ``text`` under the names that they have on disk."""

        def encode() -> Named:
            import torch

            lost = {
                f"{LOST}{name}": torch.tensor(counts[0]) for name, counts in self._family.tokens_lost([text]).items()
            }
            return lost | {name: value[0] for name, value in self._family.encode_prompts([text]).items()}

        found = self._remembered("prompts", key, encode)
        self.lost[text] = {name.removeprefix(LOST): int(n) for name, n in found.items() if name.startswith(LOST)}
        return embeddings.named(key, {name: value for name, value in found.items() if not name.startswith(LOST)})

    def _remembered(self, kind: str, digest: str, encode: Callable[[], Named]) -> Named:
        def counted() -> Named:
            self.new[kind] += 1
            return encode()

        return memory.remembered(self._stores[kind], digest, counted)


def _long(lost: Mapping[str, Mapping[str, int]], samples: Iterable[Sample], *, refuse: bool) -> Report:
    """How many captions are longer than an encoder takes, and how many tokens each encoder loses of them."""
    long = [text for text, counts in lost.items() if any(counts.values())]
    tokens = {name: sum(counts[name] for counts in lost.values()) for name in sorted(lost[""])}
    if long:
        frames = sorted({sample.frame for sample in samples if sample.text in set(long)})
        said = f"{len(long)} captions are longer than an encoder takes, those of {', '.join(frames[:3])} the first"
        if refuse:
            raise TableError(f"encode: {said}; shorten them in data/own/captions.yaml, or set encode.long_captions=cut")
        log.warning("encode: %s; their ends are not learned", said)
    return {"long_captions": len(long), **{f"lost/{name}": count for name, count in tokens.items()}}


def _write(out: Path, kind: str, ids: Sequence[str], encoded: Callable[[str], Named], config: Config) -> None:
    """Put what is ``encoded`` for each of ``ids``, which are sorted, into files, one file's worth at a time."""
    bar = tqdm(ids, desc=f"encode {kind}", disable=not sys.stderr.isatty(), leave=False)
    for _, members in groupby(bar, key=lambda name: name[: config.shard_digits]):
        found: dict[str, Any] = {name: tensor for id in members for name, tensor in encoded(id).items()}
        tensors.write(out, kind, found, digits=config.shard_digits)
