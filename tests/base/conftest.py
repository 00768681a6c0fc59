import pytest

from stages.base.origins.tiny import Config
from stages.base.settings import Training


@pytest.fixture
def origin(tiny_shape):
    """Settings under which a base is trained in a second; give others to change them."""

    def config(**others):
        how = {
            "seed": 0,
            "threads": 1,
            "autoencoder_steps": 3,
            "autoencoder_batch": 2,
            "autoencoder_lr": 0.002,
            "recolour": True,
        }
        how |= {"denoiser_steps": 3, "denoiser_batch": 2, "denoiser_lr": 0.002, "caption_dropout": 0.15}
        how |= {"gamma": 5.0, "ema_decay": 0.9}
        values = {"shipped": "fake", "digest": "0" * 64, "specimens": "photographs", "subjects": ("astronaut", "brick")}
        values |= {"views": 4, "min_crop": 0.5, "shape": tiny_shape, "training": Training(**how)}
        return Config(**(values | others))

    return config
