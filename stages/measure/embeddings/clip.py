"""The picture's side of CLIP: alike is what could bear the same words."""

from stages import vision
from stages.config import settings
from stages.measure.embeddings import Embedding, Unit
from stages.vision import Weights


@settings
class Config:
    """Which CLIP."""

    weights: Weights


def build(config: Config) -> Embedding:
    """The model, loaded when it first sees a picture."""
    return Unit(vision.clip(config.weights))
