"""What holds for every captioner that has a model, on tiny ones with random weights: the real code, real pixels.

torchvision is not installed here, so each of these also shows that it is not needed.
"""

from importlib.util import find_spec

import pytest

from stages import plugins
from stages.errors import ModelError

ASKED = {"prompt": "what is in the picture ?", "max_new_tokens": 5, "beams": 1}
CASES = {
    "blip2": {"name": "blip2", **ASKED},
    "florence2": {"name": "florence2", "detail": "sentence", "max_new_tokens": 5, "beams": 2},
    "qwen25": {"name": "qwen_vl", **ASKED, "max_pixels": 2048},
    "qwen3": {"name": "qwen_vl", **ASKED, "max_pixels": 0},
    "glm4v": {"name": "glm4v", **ASKED, "max_pixels": 4096},
    "smolvlm": {"name": "smolvlm", **ASKED, "split": True},
    "clip": {
        "name": "interrogator",
        "pattern": "{kind} of {what}",
        "lists": {
            "kind": ["photo", "picture", "image", "caption"],
            "what": ["cat", "dog", "coins", "grass", "wall", "red", "old"],
        },
    },
    "classifier": {"name": "tagger", "several": False, "threshold": 0.1, "most": 3},
}
PARTS = {"blip2", "florence2", "qwen_vl", "glm4v", "smolvlm", "interrogator", "tagger"}


@pytest.fixture(params=CASES)
def choice(request, weights):
    """The settings of each captioner over a tiny model."""
    folder = request.getfixturevalue(f"{request.param}_folder")
    return CASES[request.param] | {"model": weights(folder)}


def test_these_tests_see_every_captioner_with_a_model():
    others = set(plugins.names("stages.caption.captioners")) - PARTS
    assert {case["name"] for case in CASES.values()} == PARTS
    assert others == {"page", "template", "ensemble"}


def test_torchvision_is_not_here():
    assert find_spec("torchvision") is None


def test_the_words_depend_on_the_picture_and_on_nothing_else(choice, said, views, empty_cache):
    words = said(choice, views)
    assert len(set(words)) > 1
    assert all(words)
    empty_cache()
    assert said(choice, views[::-1]) == words[::-1]


def test_in_a_batch_a_picture_gets_the_words_that_it_gets_alone(choice, said, views, empty_cache):
    words = said(choice, views)
    empty_cache()
    single = choice | {"model": choice["model"] | {"batch": 1}}
    assert said(single, views) == words


def test_what_was_said_is_told_with_its_weights(choice, views):
    [told] = plugins.build("stages.caption.captioners", choice)(views[:1])[0]
    assert (told.by, told.score) == (choice["name"], None)
    assert told.model.startswith("sha256:")
    assert len(told.model) == 71


def test_without_a_network_the_message_names_the_way_out(choice, said, views, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"someone/model@0+: could not be fetched.*set folder in model of the captioner"
    ):
        said(choice | {"model": weights()}, views)


def test_a_strip_is_not_asked_about(choice, said, view, photographs):
    strip = photographs[0][:1].repeat(3, axis=1)
    assert said(choice, [view(strip), view(photographs[1]), view(strip[:, ::-1])])[::2] == ["", ""]


def test_three_rows_of_pixels_are_no_three_colours(choice, said, view, photographs):
    assert len(said(choice, [view(photographs[0][:3, :90])])) == 1
