"""DINOv2, which learned from pictures alone. Oquab et al., TMLR 2024.

Stein et al., arXiv 2306.04675, find its Fréchet distance nearer to what people see than Inception's.
"""

from stages import vision
from stages.config import settings
from stages.evaluate.embedders import Embedder
from stages.evaluate.features import Seen
from stages.vision import Weights


@settings
class Config:
    """Which DINOv2."""

    weights: Weights


def build(config: Config) -> Embedder:
    """The embedder; the model is loaded when it first sees a picture that is not in the cache folder."""
    return Seen("dinov2", vision.dinov2(config.weights))
