import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import licences
from stages.licences import TERMS, Use, attribution, refusal, spdx, strictest

HOST = "creativecommons.org"
USES = [Use(commercial=one, honour_opt_outs=two) for one in (True, False) for two in (True, False)]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (f"https://{HOST}/licenses/by/4.0/", "CC-BY-4.0"),
        (f"https://{HOST}/licenses/by/4.0", "CC-BY-4.0"),
        (f"http://www.{HOST}/licenses/by-sa/2.0/", "CC-BY-SA-2.0"),
        (f"//{HOST}/licenses/by-nc-nd/3.0/", "CC-BY-NC-ND-3.0"),
        (f"{HOST}/licenses/by-nc/2.5/", "CC-BY-NC-2.5"),
        (f"  https://{HOST}/licenses/by-nc-sa/1.0/\n", "CC-BY-NC-SA-1.0"),
        (f"https://{HOST.upper()}/LICENSES/BY-ND/4.0/", "CC-BY-ND-4.0"),
        (f"https://{HOST}/licenses/by/4.0/deed.de", "CC-BY-4.0"),
        (f"https://{HOST}/licenses/by/3.0/us/legalcode", "CC-BY-3.0"),
        (f"https://{HOST}/licenses/by/4.0/?ref=chooser-v1#top", "CC-BY-4.0"),
        (f"https://{HOST}:443/licenses/by/4.0/", "CC-BY-4.0"),
        (f"https://{HOST}/publicdomain/zero/1.0/", "CC0-1.0"),
        (f"https://{HOST}/publicdomain/mark/1.0/deed.en", "CC-PDM-1.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("CC BY-SA 4.0 International", "CC-BY-SA-4.0"),
        ("CC BY 3.0 Unported License", "CC-BY-3.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("CC0 1.0 Universal Public Domain Dedication", "CC0-1.0"),
    ],
)
def test_a_statement_is_known_by_its_address_or_its_name(statement, name):
    assert spdx(statement) == name


@pytest.mark.parametrize(
    "statement",
    [
        "",
        " ",
        "all rights reserved",
        f"https://evil.test/?u={HOST}/licenses/by/4.0/",
        f"https://evil.test/{HOST}/licenses/by/4.0/",
        f"https://evil.test/#https://{HOST}/licenses/by/4.0/",
        f"https://{HOST}.evil.test/licenses/by/4.0/",
        f"https://{HOST}@evil.test/licenses/by/4.0/",
        f"https://not{HOST}/licenses/by/4.0/",
        f"https://evil.{HOST}/licenses/by/4.0/",
        f"https://evil.test\\@{HOST}.evil.test/licenses/by/4.0/",
        f"see https://{HOST}/licenses/by/4.0/",
        f"https://{HOST}/licenses/",
        f"https://{HOST}/licenses/by/",
        f"https://{HOST}/licenses/by/9.9/",
        f"https://{HOST}/licenses/by/4.0x/",
        f"https://{HOST}/x/licenses/by/4.0/",
        f"https://{HOST}/licenses/by-sa-nc/4.0/",
        f"https://{HOST}/licenses/zero/1.0/",
        f"https://{HOST}/publicdomain/by/4.0/",
        f"https://{HOST}/publicdomain/zero/2.0/",
        "CC",
        "CC BY",
        "CC0",
        "CC BY 5.0",
        "CC BY-SA-NC 4.0",
        "CC BY 4.0 except for use in training",
        "CC BY 4.0 NC",
        "not CC BY 4.0",
        "MIT",
        "CC-BY-4.0 OR MIT",
        "http://[bad",
        "CC BY [4.0",
        "http://\u2100.test/licenses/by/4.0/",
        "\0",
    ],
)
def test_a_look_alike_or_a_condition_or_anything_else_is_unknown(statement):
    assert spdx(statement) == ""


@given(st.text() | st.text(alphabet="CBYNDSA0.4-/:[]@?#\\ ").map(lambda text: f"https://{HOST}{text}"))
def test_whatever_is_stated_is_a_known_name_or_nothing(statement):
    assert spdx(statement) in {"", *TERMS}


@pytest.mark.parametrize("name", TERMS)
def test_every_known_name_stands_for_itself(name):
    assert spdx(name) == spdx(name.lower()) == name


def test_the_terms_are_those_of_the_letters():
    assert len(TERMS) == 6 * 5 + 2
    for name, terms in TERMS.items():
        letters = name.split("-")
        assert terms.commercial == ("NC" not in letters)
        assert terms.derivatives == ("ND" not in letters)
        assert terms.share_alike == ("SA" in letters)
        assert terms.attribution == ("BY" in letters)


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        ([], ""),
        ([""], ""),
        (["CC-BY-4.0", "all rights reserved"], ""),
        (["CC-BY-4.0", ""], ""),
        (["CC-BY-4.0"], "CC-BY-4.0"),
        (["CC0-1.0", "CC-BY-4.0"], "CC-BY-4.0"),
        (["CC-BY-SA-4.0", "CC-BY-4.0"], "CC-BY-SA-4.0"),
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0"], "CC-BY-NC-4.0"),
        (["CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "CC-BY-ND-4.0"], "CC-BY-NC-ND-4.0"),
        (["CC-BY-NC-4.0", "CC-BY-ND-4.0"], ""),
        ([f"https://{HOST}/licenses/by/4.0/", "CC BY 4.0"], "CC-BY-4.0"),
        (["CC-BY-4.0", "CC-BY-2.0"], "CC-BY-2.0"),
    ],
)
def test_of_several_statements_the_one_that_allows_least_counts(statements, name):
    assert all(strictest(order) == name for order in itertools.permutations(statements))


def test_an_iterator_of_statements_will_do():
    assert strictest(iter(["CC0-1.0", "CC-BY-4.0"])) == "CC-BY-4.0"


STATEMENTS = st.sampled_from(["", "all rights reserved", *TERMS])


@given(st.lists(STATEMENTS, min_size=1, max_size=5), STATEMENTS, st.sampled_from(USES))
def test_one_more_statement_never_makes_a_picture_freer(statements, one_more, use):
    before, after = strictest(statements), strictest([*statements, one_more])
    if refusal(before, opted_out=False, use=use):
        assert refusal(after, opted_out=False, use=use)
    if before and after:
        assert TERMS[after].commercial <= TERMS[before].commercial
        assert TERMS[after].derivatives <= TERMS[before].derivatives


@given(st.lists(STATEMENTS, min_size=1, max_size=5), st.sampled_from(USES))
def test_a_picture_is_used_only_if_each_of_its_statements_allows_it(statements, use):
    if not refusal(strictest(statements), opted_out=False, use=use):
        assert not any(refusal(spdx(each), opted_out=False, use=use) for each in statements)


@pytest.mark.parametrize(
    ("licence", "opted_out", "reason"),
    [
        ("CC-BY-4.0", False, ""),
        ("CC0-1.0", False, ""),
        ("CC-BY-SA-4.0", False, ""),
        ("", False, "licence unknown"),
        ("MIT", False, "licence unknown"),
        ("CC-BY-NC-4.0", False, "licence non-commercial"),
        ("CC-BY-ND-4.0", False, "licence without adaptations"),
        ("CC-BY-NC-ND-4.0", False, "licence non-commercial"),
        ("CC-BY-4.0", True, "opted out"),
        ("", True, "opted out"),
        ("CC-BY-NC-ND-4.0", True, "opted out"),
    ],
)
def test_a_picture_is_refused_by_the_first_reason_that_holds(licence, opted_out, reason):
    assert refusal(licence, opted_out=opted_out, use=Use(commercial=True, honour_opt_outs=True)) == reason


def test_a_use_that_earns_nothing_may_take_non_commercial_pictures_but_change_none_it_must_not():
    use = Use(commercial=False, honour_opt_outs=True)
    assert refusal("CC-BY-NC-4.0", opted_out=False, use=use) == ""
    assert refusal("CC-BY-NC-ND-4.0", opted_out=False, use=use) == "licence without adaptations"


def test_signals_count_only_where_they_are_honoured():
    use = Use(commercial=True, honour_opt_outs=False)
    assert refusal("CC-BY-4.0", opted_out=True, use=use) == ""
    assert refusal("", opted_out=True, use=use) == "licence unknown"


def test_a_source_is_named_by_title_author_licence_and_address():
    line = attribution(title="A cat", author="A. Friend", url="https://a.test/", licence="CC-BY-4.0")
    assert line == "A cat by A. Friend, CC-BY-4.0, https://a.test/"
    assert attribution(title="", author="", url="u", licence="") == "Untitled by unknown, licence unknown, u"


def test_the_free_ones_ask_for_nothing():
    assert {name for name, terms in TERMS.items() if not terms.attribution} == {"CC0-1.0", "CC-PDM-1.0"}
    assert licences.TERMS["CC0-1.0"].commercial
