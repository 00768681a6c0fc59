import cv2
import numpy as np
import pytest

from stages import plugins, specimens

PICTURES, LABELS = specimens.digits()
RESERVED = specimens.reserved_digits(LABELS)


@pytest.fixture(scope="module")
def judge():
    return plugins.build("stages.evaluate.judges", {"name": "digits"})


def prompts(labels):
    return [f"a handwritten digit {specimens.DIGITS[label]}" for label in labels]


def of_reserved():
    return [picture for picture, held in zip(PICTURES, RESERVED, strict=True) if held], LABELS[RESERVED]


def test_every_judge_is_tested_here():
    assert plugins.names("stages.evaluate.judges") == ["digits"]


def test_reserved_digits_are_judged_right(judge):
    pictures, labels = of_reserved()
    assert len(pictures) > 500
    says = judge(pictures, prompts(labels))
    assert says.dtype == np.bool_
    assert says.mean() > 0.97


def test_a_wrong_prompt_is_judged_wrong(judge):
    pictures, labels = of_reserved()
    assert judge(pictures, prompts((labels + 1) % 10)).mean() < 0.03


def test_larger_pictures_are_judged_alike(judge):
    pictures, labels = of_reserved()
    large = [cv2.resize(picture, (64, 64), interpolation=cv2.INTER_LINEAR) for picture in pictures]
    assert judge(large, prompts(labels)).mean() > 0.95


def test_a_prompt_without_a_digit_is_never_right(judge):
    assert not judge(PICTURES[:10], ["a photo of coins"] * 10).any()


def test_noise_is_seldom_right(judge):
    noise = list(np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), dtype=np.uint8))
    assert judge(noise, prompts(np.arange(200) % 10)).mean() < 0.25
