"""The real and the generated pictures of a run."""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from stages import shards, tables
from stages.images import Pixels, decode
from stages.records import ADAPTER, BASE, ROLES, Arm, Generation, Plan, Role, Sample, Split


class Pictures:
    """Rows of both tables, and their pixels when they are asked for."""

    def __init__(self, prepared: Path, generated: Path) -> None:
        self._prepared = prepared
        self._generated = generated
        self.samples = tables.read(prepared, Sample)
        self.generations = tables.read(generated, Generation)

    @cached_property
    def arms(self) -> list[Arm]:
        """Who generated: the base, the adapter as training ended, then what it was on the way."""
        found = {each.arm for each in self.generations}
        return [*(arm for arm in (BASE, ADAPTER) if arm in found), *sorted(found - {BASE, ADAPTER})]

    @cached_property
    def plan(self) -> str:
        """The digest of what every arm was asked."""
        return self.protocol.id

    @cached_property
    def protocol(self) -> Plan:
        """What every arm was asked."""
        return tables.read(self._generated, Plan)[0]

    @cached_property
    def references(self) -> str:
        """The digest of the held-out pictures that arms are compared with."""
        return fingerprint([sample for role in ROLES for sample in self.plain(role, "heldout")])

    def plain(self, role: Role, split: Split) -> list[Sample]:
        """The samples of one role and side, without their augmented variants."""
        return [each for each in self.samples if (each.role, each.split, each.variant) == (role, split, 0)]

    def training(self, role: Role) -> list[Sample]:
        """All samples that training saw of one role, augmented ones too."""
        return [each for each in self.samples if (each.role, each.split) == (role, "train")]

    def by_arm(self, arm: Arm, role: Role) -> list[Generation]:
        """What one arm generated for one role, in an order that all arms share."""
        chosen = [each for each in self.generations if (each.arm, each.role) == (arm, role)]
        return sorted(chosen, key=lambda each: (each.prompt, each.seed))

    def real(self, sample: Sample) -> Pixels:
        """The pixels of ``sample``, uint8[H, W, 3]."""
        return decode(shards.read(self._prepared, sample.place))

    def drawn(self, generation: Generation) -> Pixels:
        """The pixels of ``generation``, uint8[H, W, 3]."""
        return decode(shards.read(self._generated, generation.place))


def fingerprint(samples: Iterable[Sample]) -> str:
    """64 hex digits over the pixels and words of ``samples``, in any order."""
    lines = sorted(f"{sample.id} {sample.digest} {sample.text}" for sample in samples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
