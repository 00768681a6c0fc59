"""Words made of what is known: which pattern is filled, and what a pattern may not do."""

import pytest

from stages.errors import ConfigError


def template(*patterns):
    return {"name": "template", "patterns": list(patterns)}


def test_the_first_pattern_whose_fields_are_known_is_filled(said, view):
    choice = template("{title} by {author}", "{title}, {licence}", "{title}")
    views = [view(title="Cats", author="Ada"), view(title="Cats"), view(title="Cats", licence="")]
    assert said(choice, views) == ["Cats by Ada", "Cats, CC0-1.0", "Cats"]


def test_without_a_pattern_that_fits_there_are_no_words(said, view):
    assert said(template("{title}"), [view()]) == [""]


def test_a_pattern_without_fields_always_fits(said, view):
    assert said(template("a photo"), [view()]) == ["a photo"]


def test_the_host_is_the_pages_or_else_the_pictures(said, view):
    views = [
        view(page="https://page.test/x"),
        view(page="", url="https://b.test/y.png"),
        view(page="", url="file:c.png"),
    ]
    assert said(template("{host}", "none"), views) == ["page.test", "b.test", "none"]


def test_braces_in_what_the_web_says_are_only_text(said, view):
    assert said(template("{title}"), [view(title="{author.__class__} {0}")]) == ["{author.__class__} {0}"]


@pytest.mark.parametrize("pattern", ["{consent}", "{title.__class__}", "{title[0]}", "{}", "{0}"])
def test_a_pattern_may_name_fields_and_nothing_inside_them(pattern, said, view):
    with pytest.raises(ConfigError, match="there is no field"):
        said(template(pattern), [view(title="Cats")])


def test_no_pattern_at_all_is_refused(said, view):
    with pytest.raises(ConfigError, match="patterns"):
        said(template(), [view()])
