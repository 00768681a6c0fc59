"""Which samples make batch k: a pure function of the plan, the seed and k, so that training can begin anywhere.

A pass sees every picture of the subject. Buckets have streams of their own, each an endless row of shuffled passes; a
batch takes the next of one stream, so that a bucket's last batch of a pass is filled from its next pass and none is cut.
Pass p (from 0) ends when each picture of the subject was seen p + 1 times, and no bucket is more than a batch ahead: one
that holds fewer pictures than a batch shows them several times at once, and waits for the others.

Where samples have weights, a bucket's share of the batches goes by its weight, and a pass of a stream of n samples still
has n places: each sample gets as many as its share of n, rounded up or down by chance, so that the mean over passes is
right. Then a pass may leave out a light one, and a later one brings it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from stages.errors import ConfigError
from stages.records import Role, Sample

Bucket = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every batch is drawn from."""

    samples: Sequence[Sample]  # to train on, subject and prior
    size: int  # samples of a batch, over all ranks and parts
    prior_share: float  # of a batch, as far as the batch's bucket has prior samples
    steps: int
    seed: int


class Batches:
    """Batch k for k from ``start`` to the plan's end, as indices into the plan's samples.

    All samples of a batch are of one bucket. Within a bucket the subject's samples come in an order that is drawn
    anew for each pass; the prior's likewise. Batch k is the same for any number of ``ranks`` (processes) and
    ``portions`` (that a process takes one after the other, where gradients are accumulated); each gives its part of it:
    together they see what one process sees at once, and none twice. ``len`` is that of the whole plan, also where
    ``start`` is not 0: Lightning adds what a resumed run has done before.

    Raises:
        ConfigError: when a batch cannot be shared evenly.
    """

    def __init__(self, plan: Plan, *, start: int = 0, rank: int = 0, ranks: int = 1, portions: int = 1) -> None:
        if plan.size % (ranks * portions):
            raise ConfigError(
                f"train.batch: {plan.size} samples cannot be shared by {ranks} processes in {portions} portions each; "
                f"give a multiple of {ranks * portions}"
            )
        self.size = plan.size
        self._plan = plan
        self._start = start
        self._rank, self._ranks, self._portions = rank, ranks, portions
        self._streams = _streams(plan)
        self._buckets = sorted(bucket for role, bucket in self._streams if role == "subject")
        self._subjects = np.array([self._counts(bucket)["subject"] for bucket in self._buckets], dtype=np.int64)
        self._held = np.array([self._heft(bucket) for bucket in self._buckets], dtype=np.int64)
        self._pass = lru_cache(maxsize=2)(self._drawn_pass)
        self._order = lru_cache(maxsize=4 * len(self._streams))(self._drawn_order)

    def __len__(self) -> int:
        return self._plan.steps * self._portions

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self._start, self._plan.steps):
            batch = self.batch(step)
            yield from ([batch[place] for place in places] for places in self.places())

    def places(self) -> list[range]:
        """Which places of every batch this process takes, one range for each of its portions."""
        size = self._plan.size // (self._ranks * self._portions)
        first = self._rank * self._portions
        return [range(size * number, size * (number + 1)) for number in range(first, first + self._portions)]

    def batch(self, step: int) -> list[int]:
        """The indices of the whole batch ``step``, in constant time but for the first of a pass."""
        number = self._pass_of(step)
        which, before = self._pass(number)
        place = step - int(self._ends(number - 1).sum())
        bucket = self._buckets[which[place]]
        return [
            self._nth(role, bucket, int(before[place]) * count + one)
            for role, count in self._counts(bucket).items()
            for one in range(count)
        ]

    def unseen(self) -> dict[int, str]:
        """Why a sample is in no batch of the plan, by its index."""
        given = self._given()
        return {
            int(index): reason
            for (role, bucket), members in self._streams.items()
            for index, reason in self._left_over(role, bucket, members, given.get(bucket))
        }

    def _left_over(
        self, role: Role, bucket: Bucket, members: NDArray[np.int64], given: int | None
    ) -> list[tuple[np.int64, str]]:
        if given is None:
            size = f"{bucket[0]} x {bucket[1]}"
            return [(index, f"no picture of the subject has its size, {size} pixels") for index in members]
        count = self._counts(bucket)[role]
        if not count:
            return [(index, "train.prior_share leaves no place in a batch for the prior") for index in members]
        laps = (self._order(role, bucket, lap) for lap in range(-(-given * count // len(members))))
        places, seen = islice(chain.from_iterable(laps), given * count), set[int]()
        while len(seen) < len(members) and (place := next(places, None)) is not None:
            seen.add(int(place))
        reason = f"{self._plan.steps} steps end before a whole pass"
        return [(member, reason) for place, member in enumerate(members) if place not in seen]

    def _given(self) -> dict[Bucket, int]:
        """How many batches of each bucket the plan has."""
        number = self._pass_of(self._plan.steps)
        done = self._ends(number - 1)
        which, _ = self._pass(number)
        more = np.bincount(which[: self._plan.steps - int(done.sum())], minlength=len(self._buckets))
        return dict(zip(self._buckets, (done + more).tolist(), strict=True))

    def _counts(self, bucket: Bucket) -> dict[Role, int]:
        """How many samples of each role a batch of ``bucket`` has."""
        wanted = min(round(self._plan.size * self._plan.prior_share), self._plan.size - 1)
        prior = wanted if ("prior", bucket) in self._streams else 0
        return {"subject": self._plan.size - prior, "prior": prior}

    def _ends(self, number: int) -> NDArray[np.int64]:
        """How many batches of each bucket there are up to the end of pass ``number``."""
        return -(-(number + 1) * self._held // self._subjects)

    def _pass_of(self, step: int) -> int:
        """The pass that batch ``step`` belongs to: the first that ends after it."""
        low, high = 0, 1
        while self._ends(high).sum() <= step:
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._ends(middle).sum() > step else (middle + 1, high)
        return low

    def _drawn_pass(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bucket of each batch of pass ``number``, and how many batches of that bucket came before it."""
        first, end = self._ends(number - 1), self._ends(number)
        rng = np.random.default_rng([self._plan.seed, 0, number])
        which = rng.permutation(np.repeat(np.arange(len(self._buckets)), end - first))
        before = np.empty_like(which)
        for bucket in range(len(self._buckets)):
            before[which == bucket] = np.arange(first[bucket], end[bucket])
        return which, before

    def _nth(self, role: Role, bucket: Bucket, place: int) -> int:
        members = self._streams[role, bucket]
        lap, position = divmod(place, len(members))
        return int(members[self._order(role, bucket, lap)[position]])

    def _drawn_order(self, role: Role, bucket: Bucket, lap: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self._plan.seed, 1 + (role == "prior"), *bucket, lap])
        weights = self._weights(role, bucket)
        if (weights == weights[0]).all():
            return rng.permutation(len(weights))
        return rng.permutation(systematic(weights, start=rng.random()))

    def _weights(self, role: Role, bucket: Bucket) -> NDArray[np.float64]:
        return np.array([self._plan.samples[index].weight for index in self._streams[role, bucket]])

    def _heft(self, bucket: Bucket) -> int:
        """How many places of a pass the bucket's samples of the subject are due: their number, where all weigh 1."""
        return max(1, round(float(self._weights("subject", bucket).sum())))


def systematic(weights: NDArray[np.float64], *, start: float) -> NDArray[np.int64]:
    """As many indices as there are weights, each as often as its share of them, rounded up or down by ``start`` in [0, 1).

    Madow and Madow, "On the Theory of Systematic Sampling", 1944: equal steps along the cumulated weights.
    """
    count = len(weights)
    edges = np.cumsum(weights) * (count / weights.sum())
    return np.minimum(np.searchsorted(edges, np.arange(count) + start, side="right"), count - 1)


def _streams(plan: Plan) -> dict[tuple[Role, Bucket], NDArray[np.int64]]:
    places: dict[tuple[Role, Bucket], list[int]] = {}
    for index, sample in enumerate(plan.samples):
        places.setdefault((sample.role, (sample.width, sample.height)), []).append(index)
    return {stream: np.array(members) for stream, members in places.items()}
