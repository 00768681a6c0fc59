"""Pictures by the base, the adapter and what it was on the way: the same prompts, the same seeds, stored as PNG."""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from filecmp import cmp
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from stages import families, machine, shards, tables
from stages.config import settings
from stages.errors import TableError
from stages.families import Family
from stages.generate.prompts import Wanted, wanted
from stages.images import encode_png
from stages.pipelines import Precision
from stages.records import ADAPTER, BASE, Arm, Generation, Plan, Report, Role, Sample

Positive = Annotated[int, Field(gt=0)]
Side = Annotated[int, Field(gt=0, multiple_of=8)]


@settings
class Config:
    """How many pictures, and how they are sampled."""

    family: str
    base_precision: Precision  # of the frozen weights
    subject_pictures: Positive  # by each arm
    prior_pictures: Annotated[int, Field(ge=0)]  # by each arm
    max_prompts: Positive  # of each role
    checkpoints: Annotated[int, Field(ge=0)]  # of those that training kept: how many draw too, spread over it
    size: tuple[Side, Side]  # width and height in pixels
    steps: Positive
    guidance: Annotated[float, Field(ge=1)]
    batch: Positive
    seed: int
    threads: Positive  # of torch: another number gives other bits
    shard_digits: Annotated[int, Field(ge=1, le=4)]


def run(config: Config, *, base: Path, prepared: Path, trained: Path, out: Path) -> Report:
    """Write a ``Generation`` and its pixels for each prompt and seed, by the base and by the base with the adapter.

    Raises:
        TableError: when no picture of the subject is held out: prompts are the texts of those.
    """
    machine.use_threads(config.threads)
    samples = tables.read(prepared, Sample)
    if not any(each.role == "subject" and each.split == "heldout" for each in samples):
        raise TableError(
            "generate: no picture of the subject is held out, so that there is nothing to ask for nor to judge by; "
            "set prepare.heldout above 0, or bring pictures of more pages"
        )
    family = families.build(config.family, base, precision=config.base_precision)
    arms = {BASE: None, ADAPTER: trained / "adapter.safetensors", **_checkpoints(trained, config.checkpoints)}
    counts: dict[Role, int] = {"subject": config.subject_pictures, "prior": config.prior_pictures}
    plan = wanted(samples, counts, most=config.max_prompts, seed=config.seed)
    with (
        shards.Writer(out, digits=config.shard_digits) as writer,
        tqdm(total=len(arms) * len(plan), desc="generate", disable=not sys.stderr.isatty(), leave=False) as bar,
    ):
        for arm, adapter in arms.items():
            if adapter:
                family.load_adapter(adapter)
            for id, png in _drawn(family, plan, arm, config):
                writer.add(id, png)
                bar.update()
    rows = [
        Generation(id=id, arm=arm, prompt=each.prompt, role=each.role, seed=each.seed, place=writer.places[id])
        for arm in arms
        for each in plan
        for id in [each.id(arm)]
    ]
    tables.write(out, Generation, rows)
    asked = _asked(plan, config)
    tables.write(out, Plan, [asked])
    return {"pictures": len(rows), "prompts": asked.prompts, "arms": len(arms)}


def _checkpoints(trained: Path, most: int) -> dict[Arm, Path]:
    """At most ``most`` of the adapters that training kept on the way, spread over it, by their arms; not its end."""
    end = trained / "adapter.safetensors"
    files = [
        file for file in sorted((trained / "checkpoints").glob("*.safetensors")) if not cmp(file, end, shallow=False)
    ]
    chosen = sorted({round(number * (len(files) - 1) / max(1, most - 1)) for number in range(min(most, len(files)))})
    return {f"step-{files[number].stem}": files[number] for number in chosen}


def _asked(plan: Sequence[Wanted], config: Config) -> Plan:
    """What every arm is asked, under its digest."""
    sampling = {"size": config.size, "steps": config.steps, "guidance": config.guidance, "family": config.family}
    sampling |= {"base_precision": config.base_precision}
    shots = sorted((each.role, each.prompt, each.seed) for each in plan)
    digest = hashlib.sha256(json.dumps([sampling, shots], sort_keys=True).encode()).hexdigest()
    return Plan(
        id=digest,
        prompts=len({each.prompt for each in plan}),
        pictures=len(plan),
        width=config.size[0],
        height=config.size[1],
        steps=config.steps,
        guidance=config.guidance,
    )


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
