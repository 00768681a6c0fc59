"""The labels that an image classifier is sure of, the surest first."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from stages.caption import transformer
from stages.caption.captioners import Captioner
from stages.caption.transformer import Model
from stages.config import settings
from stages.images import Pixels


@settings
class Config:
    """Which labels are said."""

    model: Model
    several: bool  # each label by itself (sigmoid), as taggers are trained; else one against all others (softmax)
    threshold: Annotated[float, Field(ge=0, le=1)]  # probability from which a label is said
    most: Annotated[int, Field(gt=0)]  # labels


def build(config: Config) -> Captioner:
    """The captioner over ``config``."""
    return transformer.captioner(__name__, config, lambda: _speaker(config))


def _speaker(config: Config) -> transformer.Speaker:
    import torch

    loaded = transformer.load(config.model, auto="AutoModelForImageClassification", kinds=())
    labels: dict[int, str] = loaded.model.config.id2label

    def speak(pixels: Sequence[Pixels]) -> list[str]:
        seen = loaded.images(images=transformer.pictures(pixels), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            logits = loaded.model(seen.to(loaded.model.device, loaded.model.dtype)).logits.float().cpu()
        chances = logits.sigmoid() if config.several else logits.softmax(dim=-1)
        return [tags(dict(enumerate(row)), labels, config) for row in chances.tolist()]

    return speak


def tags(chances: Mapping[int, float], labels: Mapping[int, str], config: Config) -> str:
    """The first synonym of each label at or above the threshold, with spaces for underscores."""
    sure = sorted((-chance, number) for number, chance in chances.items() if chance >= config.threshold)
    words = (labels[number].split(",")[0].replace("_", " ").strip() for _, number in sure[: config.most])
    return ", ".join(words)
