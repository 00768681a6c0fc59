"""The denoising loss of held-out pictures of the subject at each noise level by itself: where something was learned.

Little noise leaves textures to be found, much noise the whole composition. ``heldout_loss`` is the mean of these. They are
ten questions with an interval each: by chance alone one of twenty such excludes 0.
"""

from collections.abc import Iterator

from stages.config import settings
from stages.denoising import FIXED_PARTS
from stages.evaluate import scores
from stages.evaluate.evidence import Evidence
from stages.evaluate.metrics import Metric
from stages.records import Score


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> Metric:
    """The metric: ``heldout_loss_05`` to ``heldout_loss_95``, by the hundredths of the way from picture to noise."""

    def measured(evidence: Evidence) -> Iterator[Score]:
        clusters = scores.by_group(evidence.pictures.plain("subject", "heldout"))
        for level, part in enumerate(FIXED_PARTS if clusters.of else ()):
            for arm in evidence.adapters:
                question = evidence.question(f"heldout_loss_{round(100 * part):02}", arm, "lower", by={"level": part})
                base, adapter = (evidence.losses[each]["subject"][:, level] for each in (evidence.base, arm))
                yield scores.paired(question, (base, adapter), clusters, evidence.how)

    return measured
