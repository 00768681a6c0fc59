"""How far a slice fell short of the rest, at which the base may have been better or worse from the start."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.feedback import significance
from stages.feedback.significance import Values


class Losses(NamedTuple):
    """Of the same pictures by both arms."""

    base_N: Values  # natural logarithms
    adapter_N: Values  # likewise

    @property
    def learned(self) -> Values:
        """log(adapter / base), float64[N]: 0 where nothing was learned, below where something was."""
        return self.adapter_N - self.base_N


def shortfalls(
    losses: Losses, groups: Sequence[Hashable], members_NM: NDArray[np.bool_], *, resamples: int, seed: int
) -> tuple[Values, Values]:
    """How far each slice is behind the rest, in standard deviations of single pictures, and the p of that, float64[M] each.

    The base's loss is counted in two ways. By ``learned``, what is hard for both arms is not behind; but where the base
    knows nothing its loss says little of how hard a picture is, and a slice at which it began lower has less to gain. By the
    adapter's loss beside a line over the base's (analysis of covariance: Vickers and Altman, "Analysing controlled trials
    with baseline and follow up measurements", 2001) that is mended; but the line is too flat where the base's loss is
    noise in part, and what is hard for both looks behind. The truth lies between the two (Ding and Li, "A Bracketing
    Relationship between Difference-in-Differences and Lagged-Dependent-Variable Adjustment", 2019), so the smaller effect
    and the larger p count (Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", 1982).

    Neither way sees that one kind is harder to learn than another at which the base is as bad. The p is over pictures: it is
    of this one training, and what another seed or split would have favoured counts as learned. Every slice and its rest have
    a picture.
    """
    beside_nothing = (losses.learned, np.zeros_like(losses.base_N))
    beside_base = (significance.residuals(losses.adapter_N, losses.base_N), losses.base_N)
    effects, chances = [], []
    for values_N, known_N in (beside_nothing, beside_base):
        contrasts_NM = significance.contrasts(members_NM, known_N)
        effects.append(values_N @ contrasts_NM / max(float(values_N.std()), significance.ROUNDING))
        chances.append(significance.p_values(values_N, groups, contrasts_NM, resamples=resamples, seed=seed))
    return np.minimum(*effects), np.maximum(*chances)
