"""A support vector machine fitted on real handwritten digits; it never sees a generated one before it judges."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages import specimens
from stages.config import settings
from stages.evaluate.judges import Opinions
from stages.images import Pixels

FOLDS = 5  # of what it is fitted on: who says how sure it is has not seen the picture


@settings
class Config:
    """Nothing to choose."""


def build(_: Config) -> "Digits":
    """The judge, fitted on the digits that are not reserved; on the reserved ones it is right in 99 of 100."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    pictures, labels = specimens.digits()
    fitted = ~specimens.reserved_digits(labels)
    machine = CalibratedClassifierCV(SVC(gamma=0.001), method="temperature", cv=FOLDS, ensemble=False)
    return Digits(machine.fit(_greys(pictures)[fitted], labels[fitted]))


class Digits:
    """A ``Classifier``. Its margins become probabilities by one temperature: Guo et al., arXiv 1706.04599."""

    classes = specimens.DIGITS

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def __call__(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> NDArray[np.bool_]:
        """See ``Judge``."""
        asked, probabilities = self.opinions(pictures, prompts)
        return np.asarray(probabilities.argmax(axis=1) == asked, dtype=np.bool_)

    def opinions(self, pictures: Sequence[Pixels], prompts: Sequence[str]) -> Opinions:
        """See ``Classifier``."""
        asked = [
            next((digit for digit, word in enumerate(self.classes) if word in prompt.split()), -1) for prompt in prompts
        ]
        return Opinions(np.array(asked, dtype=np.int64), self._machine.predict_proba(_greys(pictures)))


def _greys(pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """float64[N, 64]: 8 x 8 greys of 0 to 16, as scikit-learn has them."""
    small = [cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA).mean(axis=2) for picture in pictures]
    return np.stack(small).reshape(len(small), -1) * (16 / 255)
