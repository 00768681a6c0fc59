"""Parts that say whether a picture shows what its prompt asks for: one file each."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels


class Judge(Protocol):
    """An opinion that no generator was trained on."""

    def __call__(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> NDArray[np.bool_]:
        """bool[N]: whether each picture shows what its prompt says."""
        ...


class Opinions(NamedTuple):
    """What a classifier thinks of N pictures, of K classes."""

    asked: NDArray[np.int64]  # int64[N]: the class that the prompt names; -1 where it names none
    probabilities: NDArray[np.float64]  # float64[N, K]


@runtime_checkable
class Classifier(Judge, Protocol):
    """A judge that knows classes, and says how sure it is."""

    @property
    def classes(self) -> Sequence[str]:
        """What they are called."""
        ...

    def opinions(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> Opinions:
        """What it takes each picture for, and what its prompt asks for."""
        ...
