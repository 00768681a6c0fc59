"""Whether pictures show what their prompts say, by a judge that no generator was trained on.

Where the judge knows classes, also how well what it sees fits what was asked, over all prompts that name one, those of the
subject and the others: what is drawn in place of something else costs both. See ``stages.evaluate.classification``. How
sure the judge is speaks of the pictures as of the judge: both are of those that were drawn.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages import plugins
from stages.config import settings
from stages.evaluate import classification, scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.judges import Classifier, Judge, Opinions
from stages.records import ROLES, Arm, Confusion, Generation, Role, Score


@settings
class Config:
    """Who judges, and what the prior may lose."""

    judge: dict[str, Any]  # one of ``judges``
    margin: Annotated[float, Field(ge=0)]  # share of the base's pictures that are right


def build(config: Config) -> "Judged":
    """The metric: ``judged_right_subject`` and ``judged_right_prior``, of a classifier ``judged_f1`` and others, too."""
    return Judged(config)


class Judged:
    """A ``Sorting`` metric."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._judge: Judge = plugins.build("stages.evaluate.judges", config.judge)

    def __call__(self, evidence: Evidence) -> Iterator[Score]:
        """See ``Metric``."""
        for role in ROLES:
            if evidence.pictures.by_arm(evidence.base, role):
                yield from self._right(evidence, role)
        if isinstance(self._judge, Classifier):
            yield from self._classified(evidence, self._judge)

    def confusions(self, evidence: Evidence) -> Iterator[Confusion]:
        """See ``Sorting``."""
        if not isinstance(self._judge, Classifier):
            return
        names = self._judge.classes
        for arm in evidence.arms:
            said, _ = _opinions(self._judge, evidence, arm)
            table = classification.confusion(said.asked, said.probabilities.argmax(axis=1), len(names))
            for asked, seen in np.argwhere(table):
                id = f"{arm} {asked:03} {seen:03}"
                count = int(table[asked, seen])
                yield Confusion(id=id, arm=arm, asked=names[asked], seen=names[seen], count=count)

    def _right(self, evidence: Evidence, role: Role) -> Iterator[Score]:
        pictures, right = evidence.pictures, {}
        for arm in evidence.arms:
            drawn = pictures.by_arm(arm, role)
            said = self._judge([pictures.drawn(each) for each in drawn], [each.prompt for each in drawn])
            right[arm] = said.astype(np.float64)
        margin = self._config.margin if role == "prior" else None
        clusters = scores.by_prompt(pictures.by_arm(evidence.base, role))
        for arm in evidence.adapters:
            by = self._config.judge
            question = evidence.question(f"judged_right_{role}", arm, "higher", by=by, margin=margin)
            yield scores.paired(question, (right[evidence.base], right[arm]), clusters, evidence.how)

    def _classified(self, evidence: Evidence, judge: Classifier) -> Iterator[Score]:
        base, drawn = _opinions(judge, evidence, evidence.base)
        if not drawn:
            return
        clusters, by = _clusters(drawn, base.asked), {"judge": self._config.judge, "bins": classification.BINS}
        for arm in evidence.adapters:
            said, _ = _opinions(judge, evidence, arm)
            f1 = evidence.question("judged_f1", arm, "higher", by=by)
            yield scores.compared(f1, (_f1(base), _f1(said)), clusters, evidence.how)
            brier = evidence.question("judged_brier", arm, "lower", by=by)
            yield scores.paired(
                brier, (classification.brier(*base), classification.brier(*said)), clusters, evidence.how
            )
            error = evidence.question("judged_calibration", arm, "lower", by=by)
            yield scores.compared(error, (_error(base), _error(said)), clusters, evidence.how)


def _opinions(judge: Classifier, evidence: Evidence, arm: Arm) -> tuple[Opinions, list[Generation]]:
    """What ``judge`` thinks of what ``arm`` drew for prompts that name a class, and those pictures, in one order."""
    drawn = [each for role in ROLES for each in evidence.pictures.by_arm(arm, role)]
    if not drawn:
        return Opinions(np.empty(0, np.int64), np.empty((0, len(judge.classes)))), []
    said = judge.opinions([evidence.pictures.drawn(each) for each in drawn], [each.prompt for each in drawn])
    named = said.asked >= 0
    return Opinions(said.asked[named], said.probabilities[named]), [
        each for each, one in zip(drawn, named, strict=True) if one
    ]


def _clusters(drawn: Sequence[Generation], asked: NDArray[np.int64]) -> scores.Clusters:
    """The classes are given and not drawn: prompts may be drawn where each class has enough that none gets lost."""
    prompts = [{each.prompt for each, one in zip(drawn, asked, strict=True) if one == of} for of in np.unique(asked)]
    enough = min(map(len, prompts)) >= scores.FEW_PROMPTS
    return scores.by_prompt(drawn) if enough else scores.by_picture(drawn)


def _f1(said: Opinions) -> scores.Statistic:
    seen, count = said.probabilities.argmax(axis=1), said.probabilities.shape[1]
    return lambda picks: classification.macro_f1(said.asked[picks], seen[picks], count)


def _error(said: Opinions) -> scores.Statistic:
    return lambda picks: classification.calibration_error(said.asked[picks], said.probabilities[picks])
