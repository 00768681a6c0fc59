"""Labels of a classifier: which are said, in which order and words."""

import pytest

from stages import config as settings
from stages.caption.captioners.tagger import Config, tags

LABELS = {0: "tabby_cat, tabby", 1: "coin", 2: "grass", 3: "wall"}


def config(weights, **others):
    values = {"model": weights(), "several": True, "threshold": 0.2, "most": 3}
    return settings.check(values | others, Config, where="test")


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        ((0.9, 0.1, 0.1, 0.1), "tabby cat"),
        ((0.3, 0.1, 0.6, 0.2), "grass, tabby cat, wall"),
        ((0.5, 0.5, 0.5, 0.5), "tabby cat, coin, grass"),
        ((0.1, 0.1, 0.1, 0.1), ""),
    ],
)
def test_the_surest_labels_are_said_first(chances, said, weights):
    assert tags(dict(enumerate(chances)), LABELS, config(weights)) == said


def test_a_label_at_the_threshold_is_said(weights):
    assert tags({1: 0.2, 2: 0.19}, LABELS, config(weights)) == "coin"


def test_each_label_by_itself_is_another_judgement_than_all_together(classifier_folder, weights, said, views):
    choice = {"name": "tagger", "model": weights(classifier_folder), "threshold": 0.5, "most": 4}
    assert said(choice | {"several": True}, views) != said(choice | {"several": False}, views)


def test_at_a_threshold_of_zero_all_are_said(classifier_folder, weights, said, views):
    choice = {"name": "tagger", "model": weights(classifier_folder), "several": False, "threshold": 0.0, "most": 9}
    assert all(sorted(text.split(", ")) == ["coin", "grass", "tabby cat", "wall"] for text in said(choice, views))
