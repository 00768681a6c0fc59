"""The real and the generated pictures of a run."""

from pathlib import Path

from stages import shards, tables
from stages.images import Pixels, decode
from stages.records import Arm, Generation, Role, Sample, Split


class Pictures:
    """Rows of both tables, and their pixels when they are asked for."""

    def __init__(self, prepared: Path, generated: Path) -> None:
        self._prepared = prepared
        self._generated = generated
        self.samples = tables.read(prepared, Sample)
        self.generations = tables.read(generated, Generation)

    def plain(self, role: Role, split: Split) -> list[Sample]:
        """The samples of one role and side, without their augmented variants."""
        return [each for each in self.samples if (each.role, each.split, each.variant) == (role, split, 0)]

    def by_arm(self, arm: Arm, role: Role) -> list[Generation]:
        """What one arm generated for one role, in an order that both arms share."""
        chosen = [each for each in self.generations if (each.arm, each.role) == (arm, role)]
        return sorted(chosen, key=lambda each: (each.prompt, each.seed))

    def real(self, sample: Sample) -> Pixels:
        """The pixels of ``sample``, uint8[H, W, 3]."""
        return decode(shards.read(self._prepared, sample.place))

    def drawn(self, generation: Generation) -> Pixels:
        """The pixels of ``generation``, uint8[H, W, 3]."""
        return decode(shards.read(self._generated, generation.place))
