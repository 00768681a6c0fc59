"""LAION's aesthetic predictors: linear layers, one after the other, on the embedding of CLIP ViT-L/14.

Schuhmann, "improved-aesthetic-predictor", 2022: five layers without anything between them but the dropout of their
training; the predictor before it had one. Both give about 1 to 10. They are published as pickles: convert one to
safetensors yourself, ``{name: tensor}`` as it is.
"""

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.config import settings
from stages.errors import ModelError
from stages.measure.aesthetics import Taste


@settings
class Config:
    """Which layers."""

    file: str  # safetensors


def build(config: Config) -> Taste:
    """The head over the layers in ``config.file``."""
    return Head(Path(config.file))


class Head:
    """A ``Taste``."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise ModelError(f"{file}: there is no such file; give the safetensors of an aesthetic predictor")
        self.identity = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        self._file, self._layers = file, _layers(file)

    def __call__(self, embedding: NDArray[np.float32]) -> float:
        """The score of a picture with ``embedding``, float32[D].

        Raises:
            ModelError: when the embedding is of another width than the layers were fitted on.
        """
        values = embedding.astype(np.float64)
        for weight, bias in self._layers:
            if weight.shape[1:] != values.shape:
                raise ModelError(
                    f"{self._file}: its layers want {weight.shape[1]} numbers, and the embedding has {values.size}; "
                    "choose the embedding that they were fitted on"
                )
            values = weight @ values + bias
        return float(values[0])


def _layers(file: Path) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weight and bias of each layer, float64[out, in] and float64[out], by the numbers in their names."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = {name: tensor.astype(np.float64) for name, tensor in load_file(file).items()}
    except SafetensorError as error:
        raise ModelError(f"{file}: no safetensors ({error}); convert the predictor to safetensors") from None
    stems = sorted((name.removesuffix("weight") for name in tensors if name.endswith("weight")), key=_number)
    layers = [(tensors[f"{stem}weight"], tensors.get(f"{stem}bias", np.zeros(1))) for stem in stems]
    if not layers or layers[-1][0].shape[0] != 1:
        raise ModelError(f"{file}: its last layer gives no single number; give an aesthetic predictor")
    return layers


def _number(stem: str) -> int:
    return int(next(iter(re.findall(r"\d+", stem)), 0))
