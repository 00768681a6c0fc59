"""Metrics: one file each. A metric yields scores of every arm against the base, under names of its own."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from stages.evaluate.evidence import Evidence
from stages.records import Confusion, Score


class Metric(Protocol):
    """Something that is measured of a run."""

    def __call__(self, evidence: Evidence) -> Iterator[Score]:
        """A score for each arm, and for what has no arms; none where there is nothing to measure."""
        ...


@runtime_checkable
class Sorting(Metric, Protocol):
    """A metric that also knows what was taken for what."""

    def confusions(self, evidence: Evidence) -> Iterator[Confusion]:
        """For each arm the pairs of classes that occurred; none where the judge knows no classes."""
        ...
