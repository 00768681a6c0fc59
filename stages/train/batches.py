"""Which samples make batch k: a pure function of the plan, the seed and k, so that training can begin anywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.records import Sample

Bucket = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every batch is drawn from."""

    samples: Sequence[Sample]  # to train on, subject and prior
    size: int  # samples of a batch
    prior_share: float  # of a batch, as far as the batch's bucket has prior samples
    steps: int
    seed: int


class Batches:
    """Batch k for k from ``start`` to the plan's end, as indices into the plan's samples.

    Of ``ranks`` processes each takes every ``ranks``-th index of the same batches, so that together they see what one would
    see. All samples of a batch are of one bucket. Within a bucket the subject's samples come in an order that is drawn
    anew for each pass, so each is seen equally often; the prior's likewise. ``len`` is that of the whole plan, also
    where ``start`` is not 0: Lightning adds what a resumed run has done before.
    """

    def __init__(self, plan: Plan, *, start: int = 0, rank: int = 0, ranks: int = 1) -> None:
        self._plan = plan
        self._start = start
        self._share = slice(rank, None, ranks)
        self._streams = _streams(plan)
        subjects = {bucket: members for (role, bucket), members in self._streams.items() if role == "subject"}
        self._buckets = sorted(subjects)
        share = np.array([len(subjects[bucket]) for bucket in self._buckets], dtype=float)
        rng = np.random.default_rng([plan.seed, 0])
        self._bucket_of = rng.choice(len(self._buckets), size=plan.steps, p=share / share.sum())

    def __len__(self) -> int:
        return self._plan.steps

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self._start, self._plan.steps):
            yield self.batch(step)[self._share]

    def batch(self, step: int) -> list[int]:
        """The indices of the whole batch ``step``, that of all processes."""
        which = int(self._bucket_of[step])
        bucket = self._buckets[which]
        before = int((self._bucket_of[:step] == which).sum())  # batches of this bucket that came earlier
        prior = round(self._plan.size * self._plan.prior_share) if ("prior", bucket) in self._streams else 0
        counts = {"subject": self._plan.size - prior, "prior": prior}
        return [
            self._nth(role, bucket, before * count + place) for role, count in counts.items() for place in range(count)
        ]

    def _nth(self, role: str, bucket: Bucket, place: int) -> int:
        members = self._streams[role, bucket]
        lap, position = divmod(place, len(members))
        rng = np.random.default_rng([self._plan.seed, 1 + (role == "prior"), *bucket, lap])
        return int(members[rng.permutation(len(members))[position]])


def _streams(plan: Plan) -> dict[tuple[str, Bucket], NDArray[np.int64]]:
    places: dict[tuple[str, Bucket], list[int]] = {}
    for index, sample in enumerate(plan.samples):
        places.setdefault((sample.role, (sample.width, sample.height)), []).append(index)
    return {stream: np.array(members) for stream, members in places.items()}
