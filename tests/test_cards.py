"""What model card and data set card share; that each shows it is tested with them."""

from dataclasses import replace

import pytest

from stages import cards
from stages.licences import OWN, PUBLIC_DOMAIN
from stages.records import Consent


def consent(id, **others):
    values = {"subjects": ("S-1",), "basis": "model release", "scope": ("train", "publish"), "granted": "2026-01-01"}
    return Consent(id=id, **(values | {"expires": "", "revoked": "", "evidence": ""} | others))


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures"), (1234, "1,234 pictures")]
)
def test_one_is_not_many(number, words):
    assert cards.counted(number, "picture") == words


def test_own_is_said_to_be_a_word_and_no_licence():
    table = cards.licence_table([OWN, OWN, "CC0-1.0", ""], noun="pictures")
    assert "| own, or by contract | 2 |" in table
    assert "| unknown | 1 |" in table
    assert "this card gives nobody else one" in table
    assert "LicenseRef" not in table
    assert cards.OWN not in cards.licence_table(["CC0-1.0", PUBLIC_DOMAIN], noun="pictures")


def test_what_is_own_asks_to_keep_to_a_contract():
    assert cards.duties([OWN]) == "### What they ask for\n\n- keep to the contract, where one stands behind what is own"
    assert cards.duties(["CC0-1.0"]).endswith("Nothing: all are free of conditions.")


def test_each_consent_is_checked_against_its_record_on_the_day_that_counts(tiny_ruling):
    records = [consent("a"), consent("b", expires="2026-05-31"), consent("c", revoked="2026-03-01"), consent("unused")]
    text = cards.consents(["a", "b", "", "a", "c", "d"], records, tiny_ruling)
    assert text.splitlines() == [
        "### Consents",
        "",
        "Checked for 2026-06-01, to cover: publish, train.",
        "",
        "- a, 2 pictures: counts; keep to it",
        "- b, 1 picture: **does not count**, expired on 2026-05-31",
        "- c, 1 picture: **does not count**, revoked on 2026-03-01",
        "- d, 1 picture: **does not count**, there is no such record",
    ]
    assert cards.consents(["", ""], records, tiny_ruling) == ""


def test_a_model_that_stays_needs_no_consent_to_publishing(tiny_ruling):
    records = [consent("a", scope=("train",))]
    assert "**does not count**, does not cover publish" in cards.consents(["a"], records, tiny_ruling)
    assert "a, 1 picture: counts" in cards.consents(["a"], records, replace(tiny_ruling, publish=False))


@pytest.mark.parametrize(
    ("publish", "commercial", "words"),
    [
        (True, True, ""),
        (False, True, "**Not for publication**: the policy `studio`"),
        (True, False, "**Not commercial**: the policy `studio`"),
        (False, False, "**Not for publication and not commercial**: the policy `studio`"),
    ],
)
def test_what_must_not_be_done_is_in_bold(tiny_ruling, publish, commercial, words):
    found = cards.warning(replace(tiny_ruling, publish=publish, commercial=commercial))
    assert found.startswith(words)
    assert bool(found) is bool(words)


def test_the_policy_is_named_with_every_setting(tiny_ruling):
    hostile = replace(tiny_ruling, settings={"opt_outs": "a | b", "use.publish": "true"})
    text = cards.policy(hostile)
    assert f"The policy `studio` (SHA-256 `{'5' * 64}`) chose the pictures." in text
    assert text.endswith("| opt_outs | a \\| b |\n| use.publish | true |")
