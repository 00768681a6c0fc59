"""A variant is a pure function of the picture, the settings and its seed."""

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stages import specimens
from stages.prepare.augment import Config, augmented

CONFIG = Config(variants=5, flip=True, min_scale=0.8, rotate=8.0, light=0.1)
NOTHING = Config(variants=5, flip=False, min_scale=1.0, rotate=0.0, light=0.0)


@pytest.fixture(scope="module")
def cat():
    return specimens.crop(specimens.photograph("chelsea"), (100, 20, 260, 180))


def test_a_variant_has_the_buckets_size(cat):
    for bucket in ((64, 64), (96, 64), (64, 128)):
        variant = augmented(cat, bucket, CONFIG, seed=1).pixels
        assert (variant.shape, variant.dtype) == ((bucket[1], bucket[0], 3), np.uint8)


def test_the_same_seed_gives_the_same_variant_whatever_happened_before(cat):
    first = augmented(cat, (64, 64), CONFIG, seed=7).pixels
    random.seed(99)
    np.random.default_rng(0).random()
    augmented(cat, (64, 64), CONFIG, seed=8)
    assert (augmented(cat, (64, 64), CONFIG, seed=7).pixels == first).all()


def test_another_seed_gives_another_variant(cat):
    variants = {augmented(cat, (64, 64), CONFIG, seed=seed).pixels.tobytes() for seed in range(10)}
    assert len(variants) == 10


def test_threads_change_nothing(cat):
    def variant(seed):
        return augmented(cat, (64, 64), CONFIG, seed=seed).pixels.tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(variant, range(12))) == [variant(seed) for seed in range(12)]


def test_the_picture_itself_is_not_changed(cat):
    before = cat.copy()
    augmented(cat, (64, 64), CONFIG, seed=1)
    assert (cat == before).all()


def test_with_every_setting_at_nothing_only_the_size_changes(cat):
    variants = [augmented(cat, (160, 160), NOTHING, seed=seed).pixels for seed in range(3)]
    assert all((variant == cat).all() for variant in variants)


def test_half_of_them_are_mirrored(cat):
    config = dataclasses.replace(NOTHING, flip=True)
    mirrored = sum((augmented(cat, (160, 160), config, seed=seed).pixels == cat[:, ::-1]).all() for seed in range(60))
    assert 15 < mirrored < 45


def test_light_changes_brightness_within_its_limit():
    grey = np.full((32, 32, 3), 128, dtype=np.uint8)
    config = dataclasses.replace(NOTHING, light=0.1)
    means = [augmented(grey, (32, 32), config, seed=seed).pixels.mean() for seed in range(20)]
    assert len(set(means)) > 5
    assert all(128 - 39 <= mean <= 128 + 39 for mean in means)
