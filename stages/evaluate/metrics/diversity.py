"""How many different pictures a prompt gives: the Vendi score of its seeds. Friedman and Dieng, arXiv 2210.02410.

1 where all are alike, the number of pictures where none resembles another. An adapter that has learned by heart draws
the same picture again and again.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence, Features
from stages.evaluate.metrics import Metric
from stages.evaluate.metrics.cmmd import unit
from stages.records import Generation, Score


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``diversity_NAME`` of each embedder's features, the mean over the subject's prompts."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        drawn = evidence.pictures.by_arm(evidence.base, "subject")
        prompts = _of_prompts(drawn)
        clusters = scores.Clusters(range(len(prompts)), "prompt")
        for embedder in evidence.embedders if prompts else ():
            values = [_values(evidence.drawn(embedder, arm, "subject"), prompts) for arm in evidence.arms]
            for arm, adapter in zip(evidence.adapters, values[1:], strict=True):
                question = evidence.question(f"diversity_{embedder}", arm, "neither", by=evidence.by(embedder))
                yield scores.paired(question, (values[0], adapter), clusters, evidence.how)

    return measured


def vendi(features: Features) -> float:
    """The exponential of the entropy of the eigenvalues of K / n, K being the cosines of all pairs: 1 to n."""
    vectors = unit(features)
    values = np.clip(np.linalg.eigvalsh(vectors @ vectors.T / len(vectors)), 0, None)
    positive = values[values > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def _of_prompts(generations: Sequence[Generation]) -> list[NDArray[np.int64]]:
    """The places of the pictures of each prompt that has several."""
    prompts = np.array([each.prompt for each in generations])
    places = [np.flatnonzero(prompts == prompt) for prompt in sorted(set(prompts))]
    return [each for each in places if len(each) > 1]


def _values(features: Features, prompts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    return np.array([vendi(features[places]) for places in prompts])
