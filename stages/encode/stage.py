"""Latents and text embeddings, once, for every later training run."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from stages import embeddings, families, machine, shards, tables, tensors
from stages.config import settings
from stages.images import decode
from stages.records import Report, Sample

Named = Mapping[str, Any]  # tensors by the names under which they are kept


@settings
class Config:
    """Which family encodes."""

    family: str
    threads: Annotated[int, Field(gt=0)]  # of torch: another number gives other bits
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, base: Path, prepared: Path, out: Path) -> Report:
    """Write the latents of each ``Sample`` under its id, and the embedding of each text, the empty one too.

    Each is encoded by itself: in a batch the last bits would depend on its neighbours.
    """
    machine.use_threads(config.threads)
    family = families.build(config.family, base)
    samples = {sample.id: sample for sample in tables.read(prepared, Sample)}
    texts = {embeddings.key(text): text for text in ("", *(sample.text for sample in samples.values()))}

    def latents(id: str) -> Named:
        return {id: family.encode_pictures(decode(shards.read(prepared, samples[id].place))[None])[0]}

    def prompts(key: str) -> Named:
        conditions = family.encode_prompts([texts[key]])
        return embeddings.named(key, {name: value[0] for name, value in conditions.items()})

    def pictures(id: str) -> Named:
        return embeddings.named(id, family.picture_conditions(samples[id]))

    out.mkdir(parents=True, exist_ok=True)
    _write(out, "latents", sorted(samples), latents, config)
    _write(out, "prompts", sorted(texts), prompts, config)
    _write(out, "pictures", sorted(samples), pictures, config)
    return {"latents": len(samples), "prompts": len(texts)}


def _write(out: Path, kind: str, ids: Sequence[str], encoded: Callable[[str], Named], config: Config) -> None:
    """Put what is ``encoded`` for each of ``ids``, which are sorted, into files, one file's worth at a time."""
    bar = tqdm(ids, desc=f"encode {kind}", disable=not sys.stderr.isatty(), leave=False)
    for _, members in groupby(bar, key=lambda name: name[: config.shard_digits]):
        found = {name: tensor for id in members for name, tensor in encoded(id).items()}
        tensors.write(out, kind, found, digits=config.shard_digits)
