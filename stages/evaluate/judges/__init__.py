"""Parts that say whether a picture shows what its prompt asks for: one file each."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels


class Judge(Protocol):
    """An opinion that no generator was trained on."""

    def __call__(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> NDArray[np.bool_]:
        """bool[N]: whether each picture shows what its prompt says."""
        ...
