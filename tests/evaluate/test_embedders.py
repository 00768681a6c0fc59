import numpy as np
import pytest
from skimage import data

from stages import plugins
from stages.evaluate.embedders import filters
from stages.evaluate.metrics.frechet import distance

GOLDEN_BANK = [0.016400213723419033, -0.017312679440708065, 0.036660835560529174]
GOLDEN_FEATURES = [
    0.15822030926198408,
    0.07200091840347528,
    0.0744409538752294,
    0.0931986567746632,
    0.12474288716420295,
]


@pytest.fixture
def embed():
    return plugins.build("stages.evaluate.embedders", {"name": "filters"})


def flat(colour):
    return np.full((32, 32, 3), colour, dtype=np.uint8)


def test_every_embedder_is_tested_here():
    others = ["clip", "dinov2", "inception"]  # test_features.py, test_inception.py
    assert plugins.names("stages.evaluate.embedders") == sorted(["filters", *others])


def test_a_picture_becomes_54_numbers(embed):
    features = embed([flat(0), data.chelsea(), data.astronaut()])
    assert features.shape == (3, 54)
    assert features.dtype == np.float64
    assert np.isfinite(features).all()


def test_the_first_numbers_are_means_and_deviations_of_the_colours(embed):
    picture = data.chelsea()
    signed = picture / 127.5 - 1
    np.testing.assert_allclose(embed([picture])[0][:6], [*signed.mean((0, 1)), *signed.std((0, 1))])


def test_the_filters_are_fixed():
    """Golden values: a distance of another filter bank would be another measure under the same name."""
    bank = filters._bank()
    assert bank.shape == (8, 5, 5, 3)
    np.testing.assert_allclose(bank[0, 0, 0], GOLDEN_BANK, rtol=1e-9)
    np.testing.assert_allclose(bank.mean(axis=(1, 2)), 0, atol=1e-15)
    np.testing.assert_allclose((bank**2).sum(axis=(1, 2, 3)), 1)


def test_the_features_are_fixed(embed):
    np.testing.assert_allclose(embed([data.chelsea()])[0][[0, 6, 14, 30, 53]], GOLDEN_FEATURES, rtol=1e-6)


def test_flat_pictures_have_no_texture(embed):
    np.testing.assert_allclose(embed([flat((10, 200, 30))])[0][3:], 0, atol=1e-12)


def test_it_sees_colour_and_texture(embed):
    picture = data.astronaut()
    same, red, blurred = embed([picture, picture[..., ::-1], picture // 64 * 64])
    assert np.abs(same - red)[:3].max() > 0.05
    assert np.abs(same - blurred)[6:].max() > 0.01


def test_pictures_of_one_kind_are_nearer_than_those_of_another(embed):
    def parts(name):
        picture = getattr(data, name)()[:256, :256]
        picture = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=-1)
        return embed([picture[y : y + 64, x : x + 64] for y in range(0, 256, 64) for x in range(0, 256, 64)])

    grass, brick = parts("grass"), parts("brick")
    assert distance(grass[::2], grass[1::2]) < distance(grass[::2], brick[1::2]) / 2


def test_each_picture_is_embedded_by_itself(embed):
    pictures = [data.chelsea(), data.coffee()]
    np.testing.assert_array_equal(embed(pictures)[1], embed(pictures[1:])[0])
