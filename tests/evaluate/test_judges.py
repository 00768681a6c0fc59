import cv2
import numpy as np
import pytest

from stages import plugins, specimens
from stages.evaluate.classification import calibration_error
from stages.evaluate.judges import Classifier

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


def test_it_knows_classes_and_says_how_sure_it_is(judge):
    pictures, labels = of_reserved()
    assert isinstance(judge, Classifier)
    assert list(judge.classes) == list(specimens.DIGITS)
    asked, probabilities = judge.opinions(pictures, [*prompts(labels[1:]), "a photo of coins"])
    assert asked.tolist() == [*labels[1:], -1]
    assert probabilities.shape == (len(pictures), 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_on_reserved_digits_it_is_right_about_as_often_as_it_is_sure(judge):
    pictures, labels = of_reserved()
    asked, probabilities = judge.opinions(pictures, prompts(labels))
    assert calibration_error(asked, probabilities) < 0.05
    said = judge(pictures, prompts(labels))
    np.testing.assert_array_equal(said, probabilities.argmax(axis=1) == asked)


def test_built_again_it_thinks_the_same(judge):
    again = plugins.build("stages.evaluate.judges", {"name": "digits"})
    some = PICTURES[:50], prompts(LABELS[:50])
    np.testing.assert_array_equal(again.opinions(*some).probabilities, judge.opinions(*some).probabilities)
