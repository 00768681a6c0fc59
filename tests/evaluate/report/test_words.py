import pytest

from stages.evaluate.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.123456, "0.1235"), (1234.56, "1235"), (100.0, "100"), (-2.5e-7, "-2.5e-07")],
)
def test_numbers_have_four_digits_and_nothing_is_a_dash(value, text):
    assert words.number(value) == text


def test_the_longest_name_that_fits_explains_a_metric():
    assert words.gloss("fd_prior_filters") == words.GLOSSES["fd_prior"]
    assert words.gloss("fd_filters") == words.GLOSSES["fd"]
    assert "from each other" in words.gloss("fd_filters_null")
    assert words.gloss("fdx") == ""


def test_arms_stand_in_the_order_of_training():
    arms = ["adapter", "step-00000010", "base", "step-00000009"]
    assert words.in_order(arms) == ["base", "step-00000009", "step-00000010", "adapter"]
    assert [words.arm_name(arm) for arm in arms] == ["adapter", "step 10", "base", "step 9"]


def test_metrics_without_a_verdict_are_no_verdicts(score):
    rows = [score("b"), score("a"), score("c", verdict="lost"), score("d", verdict="")]
    assert words.by_verdict(rows) == {"better": ["a", "b"], "lost": ["c"]}
