"""Metrics: one file each. A metric yields scores of every arm against the base, under names of its own."""

from collections.abc import Iterator
from typing import Protocol

from stages.evaluate.evidence import Evidence
from stages.records import Score


class Metric(Protocol):
    """Something that is measured of a run."""

    def __call__(self, evidence: Evidence) -> Iterator[Score]:
        """A score for each arm, and for what has no arms; none where there is nothing to measure."""
        ...
