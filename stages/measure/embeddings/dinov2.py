"""DINOv2, which learned from pictures alone: alike is what looks alike in its parts."""

from stages import vision
from stages.config import settings
from stages.measure.embeddings import Embedding, Unit
from stages.vision import Weights


@settings
class Config:
    """Which DINOv2."""

    weights: Weights


def build(config: Config) -> Embedding:
    """The model, loaded when it first sees a picture."""
    return Unit(vision.dinov2(config.weights))
