"""How many generated pictures are copies of training pictures.

The base cannot have copied what it has not seen, so its share is that of false alarms.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.evaluate.pictures import fingerprint
from stages.images import Pixels
from stages.records import Arm, Score

SIDE = 16  # pixels of the thumbnails that are compared


@settings
class Config:
    """What counts as a copy."""

    factor: Annotated[float, Field(gt=0)]  # of the distance that is usual among training pictures


def build(config: Config) -> Metric:
    """The metric: ``copy_rate``, over the subject's pictures; nothing where those of training are all of one group."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        drawn = evidence.pictures.by_arm(evidence.base, "subject")
        training = evidence.pictures.training("subject")
        if not drawn or not training:
            return
        known = thumbnails([evidence.pictures.real(sample) for sample in training])
        groups = [sample.group for sample in training]
        if not usual_distance(known, groups):  # nothing tells how near is too near
            return
        shares = {
            arm: copied(_thumbnails_of(evidence, arm), known, groups, factor=config.factor).astype(np.float64)
            for arm in evidence.arms
        }
        by = {"factor": config.factor, "side": SIDE, "training": fingerprint(training)}
        for arm in evidence.adapters:
            question = evidence.question("copy_rate", arm, "lower", by=by)
            yield scores.paired(question, (shares[evidence.base], shares[arm]), scores.by_prompt(drawn), evidence.how)

    return measured


def _thumbnails_of(evidence: Evidence, arm: Arm) -> NDArray[np.float64]:
    return thumbnails([evidence.pictures.drawn(each) for each in evidence.pictures.by_arm(arm, "subject")])


def thumbnails(pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """Each picture as float64[N, 768]: 16 x 16 RGB, 0 to 1."""
    small = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small).reshape(len(small), -1).astype(np.float64) / 255


def copied(
    generated: NDArray[np.float64], training: NDArray[np.float64], groups: Sequence[Hashable], *, factor: float
) -> NDArray[np.bool_]:
    """bool[N]: whether the nearest training picture is no farther than ``factor`` times what is usual among those."""
    return np.asarray(nearest(generated, training)[1] <= factor * usual_distance(training, groups), dtype=np.bool_)


def nearest(
    generated: NDArray[np.float64], training: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of ``generated`` which of ``training`` is nearest, int64[N], and how far that is, float64[N]."""
    distances = _distances(generated, training)
    return distances.argmin(axis=1), distances.min(axis=1)


def usual_distance(training: NDArray[np.float64], groups: Sequence[Hashable]) -> float:
    """What is usual among training pictures; 0 where all are of one group.

    It is the median distance to the nearest one of another group: near-duplicates and pictures of one page would make it
    too small. Somepalli et al., arXiv 2212.03860, calibrate by the training set likewise.
    """
    among = _distances(training, training)
    among[np.array([[one == other for other in groups] for one in groups])] = np.inf
    distances = among.min(axis=1)
    return float(np.median(distances[np.isfinite(distances)])) if np.isfinite(distances).any() else 0.0


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None, :] - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
