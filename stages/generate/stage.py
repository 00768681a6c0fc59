"""Pictures by base and adapter: the same prompts, the same seeds, stored as PNG."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from stages import families, machine, shards, tables
from stages.config import settings
from stages.families import Family
from stages.generate.prompts import Wanted, wanted
from stages.images import encode_png
from stages.records import ARMS, Arm, Generation, Report, Role, Sample

Positive = Annotated[int, Field(gt=0)]
Side = Annotated[int, Field(gt=0, multiple_of=8)]


@settings
class Config:
    """How many pictures, and how they are sampled."""

    family: str
    subject_pictures: Positive  # by each arm
    prior_pictures: Annotated[int, Field(ge=0)]  # by each arm
    max_prompts: Positive  # of each role
    size: tuple[Side, Side]  # width and height in pixels
    steps: Positive
    guidance: Annotated[float, Field(ge=1)]
    batch: Positive
    seed: int
    threads: Positive  # of torch: another number gives other bits
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, base: Path, prepared: Path, trained: Path, out: Path) -> Report:
    """Write a ``Generation`` and its pixels for each prompt and seed, by the base and by the base with the adapter."""
    machine.use_threads(config.threads)
    family = families.build(config.family, base)
    counts: dict[Role, int] = {"subject": config.subject_pictures, "prior": config.prior_pictures}
    plan = wanted(tables.read(prepared, Sample), counts, most=config.max_prompts, seed=config.seed)
    with (
        shards.Writer(out, digits=config.shard_digits) as writer,
        tqdm(total=2 * len(plan), desc="generate", disable=not sys.stderr.isatty(), leave=False) as bar,
    ):
        for arm in ARMS:
            if arm == "adapter":
                family.load_adapter(trained / "adapter.safetensors")
            for id, png in _drawn(family, plan, arm, config):
                writer.add(id, png)
                bar.update()
    rows = [
        Generation(id=id, arm=arm, prompt=each.prompt, role=each.role, seed=each.seed, place=writer.places[id])
        for arm in ARMS
        for each in plan
        for id in [each.id(arm)]
    ]
    tables.write(out, Generation, rows)
    return {"pictures": len(rows), "prompts": len({each.prompt for each in plan})}


def _drawn(family: Family, plan: Sequence[Wanted], arm: Arm, config: Config) -> Iterator[tuple[str, bytes]]:
    for start in range(0, len(plan), config.batch):
        part = plan[start : start + config.batch]
        pictures = family.generate(
            [each.prompt for each in part],
            [each.seed for each in part],
            steps=config.steps,
            guidance=config.guidance,
            size=config.size,
        )
        for each, pixels in zip(part, pictures, strict=True):
            yield each.id(arm), encode_png(pixels)
