"""The share of pictures that show what their prompt says, by a judge that no generator was trained on."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from stages import plugins
from stages.config import settings
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.judges import Judge
from stages.evaluate.metrics import Metric
from stages.records import ROLES, Score


@settings
class Config:
    """Who judges, and what the prior may lose."""

    judge: dict[str, Any]  # one of ``judges``
    margin: Annotated[float, Field(ge=0)]  # share of the base's pictures that are right


def build(config: Config) -> Metric:
    """The metric: ``judged_right_subject`` and ``judged_right_prior``."""
    judge: Judge = plugins.build("stages.evaluate.judges", config.judge)

    def measured(evidence: Evidence) -> Iterator[Score]:
        pictures = evidence.pictures
        for role in ROLES:
            shares = {}
            for arm in evidence.arms if pictures.by_arm(evidence.base, role) else ():
                drawn = pictures.by_arm(arm, role)
                right = judge([pictures.drawn(each) for each in drawn], [each.prompt for each in drawn])
                shares[arm] = right.astype(np.float64)
            margin = config.margin if role == "prior" else None
            for arm in evidence.adapters if shares else ():
                question = evidence.question(f"judged_right_{role}", arm, "higher", by=config.judge, margin=margin)
                clusters = scores.by_prompt(pictures.by_arm(evidence.base, role))
                yield scores.paired(question, (shares[evidence.base], shares[arm]), clusters, evidence.how)

    return measured
