from stages.clean.rules import RULES
from stages.evaluate.report import funnel


def test_a_refused_file_that_is_no_picture_is_shown_as_a_blank():
    assert funnel.thumbnail(b"no picture").shape == (8, 8, 3)


def test_every_rule_on_quality_is_shown_but_nakedness():
    assert set(funnel.QUALITY_REASONS) == {rule.reason for rule in RULES} - {"nsfw"} | {"twin", "lookalike"}


def test_only_reasons_of_quality_are_shown():
    assert not [reason for reason in funnel.QUALITY_REASONS if "licence" in reason or "opted" in reason]
