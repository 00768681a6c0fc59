import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import licences
from stages.licences import TERMS, conflict, duties, page, spdx, strictest

HOST = "creativecommons.org"


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
        (f"https://{HOST}/licenses/by/4.0/legalcode.en", "CC-BY-4.0"),
        (f"https://{HOST}/licenses/by/3.0/us/legalcode", "CC-BY-3.0-US"),
        (f"http://{HOST}/licenses/by-nc-nd/3.0/igo/", "CC-BY-NC-ND-3.0-IGO"),
        (f"https://{HOST}/licenses/by-sa/2.1/jp/", "CC-BY-SA-2.1-JP"),
        (f"https://{HOST}/licenses/by/2.0/kr/deed", "CC-BY-2.0"),
        (f"https://{HOST}/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        (f"https://{HOST}/licenses/publicdomain/", "CC-PDDC"),
        (f"https://{HOST}/publicdomain/certification/1.0/us/", "CC-PDDC"),
        ("https://www.flickr.com/commons/usage/", "LicenseRef-public-domain"),
        ("https://unsplash.com/license", "LicenseRef-Unsplash"),
        ("https://www.pexels.com/license/", "LicenseRef-Pexels"),
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
        ("Creative Commons Zero v1.0 Universal", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("pdm", "CC-PDM-1.0"),
        ("pdm 1.0", "CC-PDM-1.0"),
        ("Public Domain Mark 1.0", "CC-PDM-1.0"),
        ("Public domain", "LicenseRef-public-domain"),
        ("United States Government Work", "LicenseRef-public-domain"),
        ("by-nc-nd 2.0", "CC-BY-NC-ND-2.0"),
        ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE"),
        ("CC BY-SA 3.0 fr", "CC-BY-SA-3.0"),
        ("Attribution-NonCommercial 2.0 Generic", "CC-BY-NC-2.0"),
        ("Attribution-NonCommercial-NoDerivs 2.0 Generic", "CC-BY-NC-ND-2.0"),
        ("Creative Commons Attribution-Share Alike 3.0", "CC-BY-SA-3.0"),
        ("Creative Commons: Attribution-NoDerivatives 4.0 International", "CC-BY-ND-4.0"),
        ("Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)", "CC-BY-SA-4.0"),
        ("This work is licensed under a Creative Commons Attribution 4.0 International License.", "CC-BY-4.0"),
        ("Licensed under CC BY 2.0", "CC-BY-2.0"),
        ("Unsplash License", "LicenseRef-Unsplash"),
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
        f"https://{HOST}/licenses/by-nd-nc/2.0/",
        f"https://{HOST}/licenses/sampling+/1.0/",
        f"https://{HOST}/licenses/by-sa/2.1/es/",
        f"https://{HOST}/licenses/by/4.0/nc/",
        "https://unsplash.com/license/other",
        "https://unsplash.com.evil.test/license",
        "javascript:alert('CC BY 4.0')",
        "LicenseRef-own",
        "CC",
        "CC BY",
        "CC BY-SA 4.0 (CC BY 4.0)",
        "CC BY 4.0 (for press only)",
        "CC BY " + "4.0 " * 10_000,
        "(" * 5000 + "CC BY 4.0" + " (CC BY 4.0)" * 5000,
        "not public domain",
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


def test_every_known_name_but_ones_own_stands_for_itself():
    for name in set(TERMS) - {licences.OWN}:
        assert spdx(name) == spdx(name.lower()) == name


def test_the_page_of_a_licence_stands_for_it():
    homeless = {licences.OWN, licences.PUBLIC_DOMAIN}
    assert {name for name in TERMS if not page(name)} == homeless
    for name in set(TERMS) - homeless:
        assert spdx(page(name)) == name
    assert page("") == page("MIT") == ""


def test_the_terms_are_those_of_the_letters():
    letters_of = {name: name.split("-") for name in TERMS if name.startswith("CC-BY")}
    assert len(letters_of) == 6 * 5 + 21
    for name, letters in letters_of.items():
        terms = TERMS[name]
        assert terms.commercial == ("NC" not in letters)
        assert terms.derivatives == ("ND" not in letters)
        assert terms.private_changes == ("ND" not in letters or "4.0" in letters)
        assert terms.share_alike == ("SA" in letters)
        assert terms.attribution
        assert not terms.platform


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
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0"], ""),
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"], "CC-BY-NC-SA-4.0"),
        (["CC-BY-ND-4.0", "CC-BY-ND-3.0"], "CC-BY-ND-3.0"),
        (["CC0-1.0", "LicenseRef-Unsplash"], "LicenseRef-Unsplash"),
        (["CC-BY-4.0", "LicenseRef-Unsplash"], ""),
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


@given(st.lists(STATEMENTS, min_size=1, max_size=5), STATEMENTS)
def test_one_more_statement_never_takes_a_duty_away(statements, one_more):
    before, after = strictest(statements), strictest([*statements, one_more])
    if before and after:
        assert duties([after]).names >= duties([before]).names
    if not before and not conflict(statements):
        assert not after


def test_a_conflict_is_two_licences_that_each_ask_for_more():
    assert conflict(["CC-BY-NC-4.0", "CC-BY-ND-4.0"])
    assert conflict(["CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0"])
    assert not conflict(["CC-BY-NC-4.0", "CC-BY-4.0", "CC-BY-4.0", "", "MIT"])
    assert not conflict([])


def test_the_duties_of_a_set_are_all_those_of_its_licences_with_whose_they_are():
    found = duties(["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-4.0"])
    assert found.because["name the sources"] == ("CC-BY-4.0", "CC-BY-SA-3.0")
    assert found.because["share adaptations under the same licence"] == ("CC-BY-SA-3.0",)
    assert found.names == {"name the sources", "share adaptations under the same licence"}
    assert not found.unknown
    assert duties(["CC-BY-NC-ND-3.0"]).names >= {"earn no money with it", "share no adaptations", "make no adaptations"}


def test_two_share_alike_licences_clash_and_two_versions_of_one_do_not():
    assert duties(["CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-4.0"]).clash == ("CC-BY-NC-SA", "CC-BY-SA")
    assert duties(["CC-BY-SA-4.0", "CC-BY-SA-3.0-DE", "CC-BY-4.0"]).clash == ()
    assert duties(["CC-BY-SA-4.0", "CC-BY-NC-3.0"]).clash == ("CC-BY-NC", "CC-BY-SA")
    assert duties(["CC-BY-NC-SA-4.0", "CC-BY-NC-3.0"]).clash == ()
    assert duties([]).clash == ()


def test_what_is_unknown_in_a_set_is_said():
    assert duties(["CC0-1.0", ""]).unknown
    assert duties(["MIT"]).unknown
    assert not duties([]).unknown


@given(st.lists(STATEMENTS, max_size=5), STATEMENTS)
def test_one_more_picture_never_makes_a_set_freer(names, one_more):
    before, after = duties(names), duties([*names, one_more])
    assert after.names >= before.names
    assert after.unknown >= before.unknown
    assert set(after.clash) >= set(before.clash)


def test_the_free_ones_ask_for_nothing():
    free = {name for name in TERMS if not duties([name]).names}
    assert free == {"CC0-1.0", "CC-PDM-1.0", "CC-PDDC", licences.PUBLIC_DOMAIN, licences.OWN}
