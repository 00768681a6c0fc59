"""Which pictures are generated: texts of held-out pictures, each with its seeds."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.records import Arm, Role, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One picture that both arms generate."""

    prompt: str
    role: Role
    seed: int

    def id(self, arm: Arm) -> str:
        """The id of the generation by ``arm``."""
        return hashlib.sha256(f"{arm} {self.seed} {self.prompt}".encode()).hexdigest()


def wanted(samples: Sequence[Sample], counts: dict[Role, int], *, most: int, seed: int) -> list[Wanted]:
    """For each role as many pictures as ``counts`` says, spread over at most ``most`` texts of its held-out pictures."""
    return [each for role, count in counts.items() for each in _of_role(role, samples, count, most, seed)]


def _of_role(role: Role, samples: Sequence[Sample], count: int, most: int, seed: int) -> Iterator[Wanted]:
    texts = sorted({sample.text for sample in samples if sample.role == role and sample.split == "heldout"})[:most]
    for number in range(count if texts else 0):
        text = texts[number % len(texts)]
        drawn = hashlib.sha256(f"{seed} {number // len(texts)} {text}".encode()).digest()
        yield Wanted(prompt=text, role=role, seed=int.from_bytes(drawn[:4], "big"))
