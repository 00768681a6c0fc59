"""An image classifier of transformers, of which one label counts."""

from functools import cached_property

from stages import pinned, vision
from stages.config import settings
from stages.errors import ModelError
from stages.images import Pixels
from stages.measure.nsfw import Classifier
from stages.vision import Eye, Weights


@settings
class Config:
    """Which classifier, and which of its labels."""

    weights: Weights
    label: str


def build(config: Config) -> Classifier:
    """The model, loaded when it first sees a picture."""
    return Labelled(config)


class Labelled:
    """A ``Classifier``: the softmax of one label."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.identity = pinned.identity(config.weights)

    @cached_property
    def _eye(self) -> Eye:
        return vision.load(self._config.weights, auto="AutoModelForImageClassification")

    @cached_property
    def _place(self) -> int:
        labels: dict[str, int] = self._eye.net.config.label2id
        if self._config.label not in labels:
            raise ModelError(
                f"{self.identity}: has no label {self._config.label!r}; it has: {', '.join(sorted(labels))}"
            )
        return labels[self._config.label]

    def __call__(self, pixels: Pixels) -> float:
        """The probability of the label."""
        answer = self._eye.net(self._eye.input(pixels)).logits[0].float().softmax(dim=0)
        return float(answer[self._place])
