"""Whether pictures show what their prompts say: the cosine of a picture's and its prompt's features.

``clip_t`` is that of the subject's prompts, ``retention`` that of prompts without it, which the adapter should leave as
it was. Hessel et al., arXiv 2104.08718, times 2.5 and cut at 0, call it CLIPScore; here it is neither, -1 to 1. A prompt
longer than the model reads is cut behind its 77th token, end token included, and ``..._cut`` says how many were.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from stages.config import settings
from stages.errors import ConfigError
from stages.evaluate import scores
from stages.evaluate.embedders import Reading
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.evaluate.metrics.cmmd import unit
from stages.records import BASE, ROLES, Role, Score

NAMES: dict[Role, str] = {"subject": "clip_t", "prior": "retention"}


@settings
class Config:
    """Who reads, and what the prior may lose."""

    embedder: str  # one of ``embedders`` that reads, too
    margin: Annotated[float, Field(ge=0)]  # share of the base's value


def build(config: Config) -> Metric:
    """The metric, for both roles.

    It raises ``ConfigError`` when its embedder is not among those of the stage, or does not read.
    """

    def measured(evidence: Evidence) -> Iterator[Score]:
        embedder = evidence.embedders.get(config.embedder)
        if not isinstance(embedder, Reading):
            raise ConfigError(
                f"evaluate.metrics.clip_t.embedder: {config.embedder!r} is no embedder that reads; choose one with it, "
                f"as embedder=[{','.join([*evidence.embedders, 'clip'])}]"
            )
        for role in ROLES:
            if evidence.pictures.by_arm(evidence.base, role):
                yield from _of_role(evidence, embedder, role, config)

    return measured


def _of_role(evidence: Evidence, embedder: Reading, role: Role, config: Config) -> Iterator[Score]:
    drawn = evidence.pictures.by_arm(evidence.base, role)
    prompts = sorted({each.prompt for each in drawn})
    read = embedder.read(prompts)
    words = unit(read.features)[[prompts.index(each.prompt) for each in drawn]]
    clusters, by = scores.by_prompt(drawn), evidence.by(config.embedder)
    base, *others = ((unit(evidence.drawn(config.embedder, arm, role)) * words).sum(axis=1) for arm in evidence.arms)
    margin = config.margin if role == "prior" else None
    for arm, adapter in zip(evidence.adapters, others, strict=True):
        question = evidence.question(NAMES[role], arm, "higher", by=by, margin=margin)
        yield scores.paired(question, (base, adapter), clusters, evidence.how)
    question = evidence.question(f"{NAMES[role]}_cut", BASE, "neither", by=by)
    yield scores.landmark(question, float(np.mean(read.cut)), scores.Clusters(prompts, "prompt"))
