"""Several captioners: whose words are chosen, and that all are kept."""

import pytest

from stages import plugins
from stages.caption.captioners import Told
from stages.caption.captioners.ensemble import ranked
from stages.errors import ConfigError


def told(**texts):
    return [Told(by=by, model="", text=text, score=None) for by, text in texts.items()]


def template(pattern):
    return {"name": "template", "patterns": [pattern]}


THREE = {"odd": template("blue sky"), "long": template("a red cat on grass"), "short": template("a red cat")}


def test_the_words_that_agree_most_are_chosen_and_all_are_kept(view):
    [parts] = plugins.build("stages.caption.captioners", {"name": "ensemble", "captioners": THREE})([view()])
    assert [part.by for part in parts] == ["long", "short", "odd"]
    assert [part.score for part in parts] == [0.375, 0.375, 0.0]


def test_of_equal_agreement_the_first_wins():
    assert ranked(told(b="a cat", a="a cat"))[0].by == "b"


def test_whoever_says_nothing_comes_last_even_where_nobody_agrees():
    assert [each.by for each in ranked(told(silent="", blank="  ", loud="a cat"))] == ["loud", "silent", "blank"]


def test_a_model_and_a_page_speak_together(said, views, weights, classifier_folder):
    tagger = {"name": "tagger", "model": weights(classifier_folder), "several": False, "threshold": 0.0, "most": 1}
    members = {"tags": tagger, "words": template("{title}")}
    captioner = plugins.build("stages.caption.captioners", {"name": "ensemble", "captioners": members})
    parts = captioner(views)
    assert len(parts) == len(views)
    assert {part.by for each in parts for part in each} == {"tags", "words"}
    assert [each[0].by for each in parts] == ["tags"] * 3  # the pictures have no title
    assert parts[0][0].model.startswith("sha256:")
    assert parts[0][1].model == ""


def test_one_voice_is_no_ensemble(said, view):
    with pytest.raises(ConfigError, match="captioners"):
        said({"name": "ensemble", "captioners": {"one": THREE["odd"]}}, [view()])


def test_a_member_that_does_not_exist_is_named(said, view):
    with pytest.raises(ConfigError, match="there is no part 'ghost'"):
        said({"name": "ensemble", "captioners": THREE | {"x": {"name": "ghost"}}}, [view()])
