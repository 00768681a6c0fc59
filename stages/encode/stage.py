"""Latents and text embeddings, once, for every later training run."""

import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from stages import families, machine, shards, tables, tensors
from stages.config import settings
from stages.images import decode
from stages.records import Report, Sample


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
    texts = {tensors.key(text): text for text in ("", *(sample.text for sample in samples.values()))}

    def latents(id: str) -> Any:
        return family.encode_pictures(decode(shards.read(prepared, samples[id].place))[None])[0]

    def embedding(key: str) -> Any:
        return family.encode_prompts([texts[key]])[0]

    out.mkdir(parents=True, exist_ok=True)
    _write(out, "latents", sorted(samples), latents, config)
    _write(out, "prompts", sorted(texts), embedding, config)
    return {"latents": len(samples), "prompts": len(texts)}


def _write(out: Path, kind: str, names: Sequence[str], encoded: Callable[[str], Any], config: Config) -> None:
    """Put what is ``encoded`` for each of ``names``, which are sorted, into files, one file's worth at a time."""
    bar = tqdm(names, desc=f"encode {kind}", disable=not sys.stderr.isatty(), leave=False)
    for _, members in groupby(bar, key=lambda name: name[: config.shard_digits]):
        tensors.write(out, kind, {name: encoded(name) for name in members}, digits=config.shard_digits)
