"""What one round knew, what the next one knows better, and when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stages import bootstrap, tables
from stages.records import ADAPTER, PictureScore, Request, Sample, Slice

Stop = Literal["nothing is flagged", "nothing was gained", "nothing to ask for", "that was the last round", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the files of one round say."""

    losses: Mapping[str, float]  # of the adapter, by held-out sample
    groups: Mapping[str, str]  # of all samples
    trained: int  # pictures of the subject to train on
    slices: Sequence[Slice]
    requests: Sequence[Request]

    @property
    def flagged(self) -> Sequence[Slice]:
        """The slices that are behind."""
        return [each for each in self.slices if each.flagged]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """By which factor losses changed from one round to the next, on the same pictures, with its 95 % interval."""

    factor: float  # geometric mean; below 1 is better
    low: float
    high: float
    pictures: int

    @property
    def is_one(self) -> bool:
        """Whether the interval says so."""
        return self.high < 1


def read(data: Path, metric: str) -> State:
    """The state that the stages left in ``data``."""
    samples = [each for each in tables.rows(data / "prepare", Sample) if each.role == "subject" and not each.variant]
    subject = {each.id for each in samples}
    scores = tables.rows(data / "evaluate", PictureScore)
    return State(
        losses={
            each.sample: each.value
            for each in scores
            if each.metric == metric and each.arm == ADAPTER and each.sample in subject
        },
        groups={each.id: each.group for each in samples},
        trained=sum(each.split == "train" for each in samples),
        slices=tables.read(data / "feedback", Slice),
        requests=tables.read(data / "feedback", Request),
    )


def gain(before: State, now: State, samples: Sequence[str], *, resamples: int, seed: int) -> Gain | None:
    """What ``samples`` gained, those of them that both rounds held out, paired; none where there are fewer than two groups."""
    both = sorted(set(samples) & before.losses.keys() & now.losses.keys())
    groups = [now.groups[sample] for sample in both]
    if len(set(groups)) < 2:
        return None
    change = np.log([now.losses[sample] / before.losses[sample] for sample in both])
    low, high = bootstrap.interval(lambda picks: float(change[picks].mean()), groups, resamples=resamples, seed=seed)
    factor, low, high = (float(np.exp(each)) for each in (change.mean(), low, high))
    return Gain(factor=factor, low=low, high=high, pictures=len(both))


def behind(state: State) -> list[str]:
    """The held-out samples of all flagged slices."""
    return sorted({sample for each in state.flagged for sample in each.samples})


def others(state: State) -> list[str]:
    """The held-out samples of no flagged slice."""
    return sorted(state.losses.keys() - set(behind(state)))


def stop(now: State, gained: Gain | None, *, is_first: bool, is_last: bool) -> Stop:
    """Why no round follows; empty where one does."""
    if not now.flagged:
        return "nothing is flagged"
    if not is_first and (gained is None or not gained.is_one):
        return "nothing was gained"
    if not now.requests:
        return "nothing to ask for"
    return "that was the last round" if is_last else ""
