"""Latents and text embeddings, once, for every later training run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from tqdm import tqdm

from stages import embeddings, families, machine, shards, tables
from stages.config import settings
from stages.families import Family
from stages.images import decode
from stages.records import Report, Sample

if TYPE_CHECKING:
    from torch import Tensor


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
    samples = tables.read(prepared, Sample)
    latents = dict[str, "Tensor"]()
    for sample in tqdm(samples, desc="encode", disable=not sys.stderr.isatty(), leave=False):
        latents[sample.id] = family.encode_pictures(decode(shards.read(prepared, sample.place))[None])[0]
    texts = sorted({"", *(sample.text for sample in samples)})
    prompts = {embeddings.key(text): _conditions(family, text) for text in texts}
    pictures = {sample.id: family.picture_conditions(sample) for sample in samples}
    encoded = embeddings.Embeddings(latents=latents, prompts=prompts, pictures=pictures)
    embeddings.write(out, encoded, digits=config.shard_digits)
    return {"latents": len(latents), "prompts": len(prompts)}


def _conditions(family: Family, text: str) -> "dict[str, Tensor]":
    """The conditions of one text, without the batch."""
    return {name: value[0] for name, value in family.encode_prompts([text]).items()}
