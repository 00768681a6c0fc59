"""What each policy says of a picture: every licence by every use, and that more that is said never frees a picture."""

import dataclasses
import itertools
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from stages import config, rights
from stages.licences import OWN, TERMS
from stages.records import Consent, Evidence, Item, Signal
from stages.rights import Policy, Use, decide
from stages.shards import Place

FILES = sorted((Path(__file__).parent.parent / "conf/policy").glob("*.yaml"))
POLICIES = {file.stem: config.check(yaml.safe_load(file.read_text()), Policy, where=file.name) for file in FILES}
LICENSED = POLICIES["licensed"]
USES = [Use(commercial=a, publish=b) for a, b in itertools.product((False, True), repeat=2)]
BY_NC = "CC-BY-NC-4.0"


def said(*raws, where="json-ld", scope="picture"):
    return tuple(Evidence(where=where, raw=raw, scope=scope) for raw in raws)


def signal(verdict="deny", category="train-any"):
    return Signal(layer="html", kind="meta robots", raw="x", verdict=verdict, category=category, scope="page")


def item(*raws, evidence=None, signals=(), **others):
    evidence = said(*raws) if evidence is None else evidence
    values = {"id": "a", "url": "http://a.test/a.jpg", "page": "", "kind": "image", "alt": "", "title": "T"}
    values |= {"author": "A", "credit": "", "licence": rights.licence_of(evidence), "licence_evidence": tuple(evidence)}
    place = Place(shard="s", offset=0, size=1)
    return Item(**(values | {"signals": tuple(signals), "consent": "", "group": "", "place": place} | others))


def ruled(*raws, policy=LICENSED, **others):
    decision = decide(item(*raws, **others), policy)
    assert (decision.verdict == "allow") is (decision.rule == "")
    return decision.verdict, decision.rule


def changed(policy=LICENSED, **values):
    return dataclasses.replace(policy, **values)


def test_there_are_four_policies_and_the_careful_one_is_the_default():
    assert sorted(POLICIES) == ["eu_tdm", "licensed", "own", "research"]
    params = yaml.safe_load((FILES[0].parents[2] / "params.yaml").read_text())
    assert config.check(params["clean"]["policy"], Policy, where="params") == LICENSED
    assert LICENSED.use == Use(commercial=True, publish=True)


def expected(licence, use):
    """The table of the README, written down once more."""
    letters = licence.split("-")
    if use.commercial and "NC" in letters:
        return "deny", "licence non-commercial"
    if "ND" in letters and (use.publish or "4.0" not in letters):
        return "deny", "licence without adaptations"
    if licence in ("LicenseRef-Unsplash", "LicenseRef-Pexels"):
        return "review", "licence of a platform"
    return "allow", ""


@pytest.mark.parametrize("use", USES)
def test_every_licence_by_every_use(use):
    for licence in TERMS:
        raw, where = ("own", "sidecar") if licence == OWN else (licence, "json-ld")
        decided = ruled(evidence=said(raw, where=where), policy=changed(use=use))
        assert decided == expected(licence, use), licence


RESERVED = {"licensed": "rights reserved", "own": "licence unknown"}  # to "own" only a sidecar can say so


@pytest.mark.parametrize(
    ("policy", "decided"),
    [
        ("licensed", ("review", "licence unknown")),
        ("own", ("review", "licence unknown")),
        ("eu_tdm", ("allow", "")),
        ("research", ("allow", "")),
    ],
)
def test_what_no_licence_is_known_of(policy, decided):
    assert ruled(policy=POLICIES[policy]) == decided
    assert ruled("all rights reserved", policy=POLICIES[policy]) == (decided[0], decided[1] and RESERVED[policy])


@pytest.mark.parametrize(
    ("policy", "decided"),
    [
        ("licensed", ("deny", "opted out")),
        ("own", ("review", "licence unknown")),
        ("eu_tdm", ("deny", "opted out")),
        ("research", ("allow", "")),
    ],
)
def test_a_denial_counts_where_the_policy_honours_it(policy, decided):
    assert ruled("CC0-1.0", signals=[signal()], policy=POLICIES[policy]) == decided


@pytest.mark.parametrize("category", ["train-generative", "train-any", "tdm"])
def test_a_denial_goes_before_an_allowance_whatever_their_order(category):
    both = [signal("allow", category), signal("deny", category), signal("unknown", category)]
    for order in itertools.permutations(both):
        assert ruled("CC0-1.0", signals=order) == ("deny", "opted out")
    assert ruled("CC0-1.0", signals=[both[0], both[2]]) == ("allow", "")


def test_a_denial_of_indexing_says_nothing_of_training():
    assert ruled("CC0-1.0", signals=[signal(category="index")]) == ("allow", "")
    assert ruled("CC0-1.0", signals=[signal(category="index")], policy=changed(opt_outs=("index",)))[0] == "deny"


def test_an_allowance_is_no_licence():
    assert ruled(signals=[signal("allow")]) == ("review", "licence unknown")


def test_a_licence_goes_before_a_denial_only_where_the_policy_says_so_and_it_allows_the_use():
    contract = changed(licence_overrides=True)
    assert ruled("CC-BY-4.0", signals=[signal()], policy=contract) == ("allow", "")
    assert ruled(BY_NC, signals=[signal()], policy=contract) == ("deny", "licence non-commercial")
    assert ruled(signals=[signal()], policy=contract) == ("deny", "opted out")


def test_an_unclear_signal_is_reviewed_where_nothing_else_carries_the_use():
    unclear = [signal("unknown")]
    assert ruled("CC0-1.0", signals=unclear) == ("allow", "")
    assert ruled("CC0-1.0", signals=unclear, policy=POLICIES["eu_tdm"]) == ("review", "signal unclear")


def test_licences_that_contradict_each_other_are_reviewed():
    use = Use(commercial=False, publish=False)
    assert ruled("CC-BY-NC-4.0", "CC-BY-ND-4.0", policy=changed(use=use)) == ("review", "licences conflict")
    assert ruled("CC-BY-NC-4.0", "CC-BY-SA-4.0") == ("deny", "licence non-commercial")
    assert ruled("CC-BY-4.0", "who knows") == ("review", "licence unknown")


def test_an_unknown_licence_is_no_way_around_a_known_one():
    assert ruled(BY_NC, "who knows", policy=POLICIES["eu_tdm"]) == ("deny", "licence non-commercial")
    assert ruled("LicenseRef-Pexels", "?", policy=POLICIES["eu_tdm"]) == ("review", "licence of a platform")


def test_share_alike_is_reviewed_where_the_policy_says_so_and_weights_are_published():
    careful = changed(share_alike="review")
    assert ruled("CC-BY-SA-4.0") == ("allow", "")
    assert ruled("CC-BY-SA-4.0", policy=careful) == ("review", "licence share-alike")
    at_home = changed(careful, use=Use(commercial=True, publish=False))
    assert ruled("CC-BY-SA-4.0", policy=at_home) == ("allow", "")


def test_a_reviewed_picture_stays_and_a_denied_one_does_not_come_back():
    reviewed = changed(reviewed=("a",))
    assert ruled(policy=reviewed) == ("allow", "")
    assert ruled(id="b", policy=reviewed) == ("review", "licence unknown")
    assert ruled(BY_NC, policy=reviewed)[0] == ruled("CC0-1.0", signals=[signal()], policy=reviewed)[0] == "deny"


def test_of_ones_own_pictures_the_users_word_counts_and_nobody_elses():
    word = said("own", where="sidecar") + said("All rights reserved, Ann", where="xmp dc:rights")
    assert ruled(evidence=word, signals=[signal()], policy=POLICIES["own"]) == ("allow", "")
    assert ruled(evidence=said("LicenseRef-own"), policy=POLICIES["own"]) == ("review", "licence unknown")
    assert ruled(evidence=said("own")) == ("review", "licence unknown")
    assert ruled(evidence=said(BY_NC, where="sidecar"), policy=POLICIES["own"])[0] == "deny"


@pytest.mark.parametrize("where", ["json-ld copyrightNotice", "xmp dc:rights", "meta dc.rights", "iptc copyright"])
def test_a_notice_is_no_licence_but_may_name_one_or_refuse_all(where):
    licence = said("CC-BY-4.0", where="rel=license", scope="page")
    assert rights.licence_of(licence + said("© 2026 Ann", where=where)) == "CC-BY-4.0"
    assert rights.licence_of(said("© 2026 Ann", where=where)) == ""
    assert rights.licence_of(said("CC BY 4.0", where=where)) == "CC-BY-4.0"
    assert rights.licence_of(licence + said("© Ann. All rights reserved", where=where)) == ""


def test_what_is_said_of_the_picture_goes_before_what_is_said_of_its_page():
    assert rights.licence_of(said("CC0-1.0") + said(BY_NC, scope="page")) == "CC0-1.0"
    assert rights.licence_of(said(BY_NC, scope="page")) == BY_NC
    assert rights.licence_of([]) == ""


# More that is said never frees a picture

RANK = {"allow": 0, "review": 1, "deny": 2}
RAWS = st.sampled_from(["", "?", "all rights reserved", "own", *sorted(TERMS)])
PLACES = st.sampled_from(["json-ld", "rel=license", "sidecar", "xmp dc:rights", "api"])
EVIDENCE = st.builds(Evidence, where=PLACES, raw=RAWS, scope=st.just("picture"))
SIGNALS = st.builds(
    signal,
    st.sampled_from(["allow", "deny", "unknown"]),
    st.sampled_from(["train-generative", "train-any", "tdm", "index"]),
)
EITHER = st.sampled_from(["review", "allow"])
ANY_POLICY = st.builds(
    Policy,
    use=st.sampled_from(USES),
    unlicensed=EITHER,
    word_of=st.sampled_from(["all", "sidecar"]),
    opt_outs=st.sets(st.sampled_from(["train-generative", "train-any", "tdm", "index"])).map(tuple),
    licence_overrides=st.booleans(),
    unclear_signals=EITHER,
    share_alike=EITHER,
    platform_terms=EITHER,
    reviewed=st.sampled_from([(), ("a",)]),
)
POLICY = st.sampled_from(list(POLICIES.values())) | ANY_POLICY


@given(st.lists(EVIDENCE, max_size=4), st.lists(SIGNALS, max_size=3), SIGNALS, POLICY)
def test_one_more_signal_never_frees_a_picture(evidence, signals, one_more, policy):
    before = decide(item(evidence=evidence, signals=signals), policy)
    after = decide(item(evidence=evidence, signals=[*signals, one_more]), policy)
    assert RANK[after.verdict] >= RANK[before.verdict]


@given(st.lists(EVIDENCE, min_size=1, max_size=4), EVIDENCE, st.lists(SIGNALS, max_size=2), POLICY)
def test_one_more_statement_beside_others_never_frees_a_picture(evidence, one_more, signals, policy):
    counting = [each for each in evidence if policy.word_of == "all" or each.where == "sidecar"]
    assume(rights.statements(counting))
    before = decide(item(evidence=evidence, signals=signals), policy)
    after = decide(item(evidence=[*evidence, one_more], signals=signals), policy)
    assert RANK[after.verdict] >= RANK[before.verdict]


@given(st.lists(EVIDENCE, max_size=4), st.lists(SIGNALS, max_size=3), POLICY, st.randoms(use_true_random=False))
def test_the_order_of_what_is_said_does_not_matter(evidence, signals, policy, random):
    before = decide(item(evidence=evidence, signals=signals), policy)
    random.shuffle(evidence)
    random.shuffle(signals)
    assert decide(item(evidence=evidence, signals=signals), policy).verdict == before.verdict


# The rest


def test_policies_that_differ_in_any_value_differ_in_their_digest():
    digests = {rights.digest(policy) for policy in POLICIES.values()}
    digests |= {rights.digest(changed(reviewed=("a",))), rights.digest(changed(use=USES[0]))}
    assert len(digests) == 6
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_bears_the_name_of_its_file(name):
    assert POLICIES[name].id == name


def test_a_ruling_says_all_that_its_policy_says():
    policy = changed(reviewed=("a", "b"), opt_outs=())
    ruling = rights.ruling(policy, consent_on=date(2026, 6, 1))
    assert (ruling.id, ruling.policy, ruling.consent_on) == (rights.digest(policy), "licensed", "2026-06-01")
    assert set(ruling.settings) == set(dataclasses.asdict(policy)) - {"id", "use"} | {
        f"use.{key}" for key in dataclasses.asdict(policy.use)
    }
    assert ruling.settings["use.publish"] == ruling.settings["use.commercial"] == "true"
    assert (ruling.settings["opt_outs"], ruling.settings["reviewed"]) == ("none", "2")


def test_a_picture_bears_the_licence_that_its_policy_went_by():
    word = said("own", where="sidecar") + said("© Ann. All rights reserved", where="xmp dc:rights")
    one = item(evidence=word)
    names = {}
    for name, policy in POLICIES.items():
        ruled_by = rights.ruling(policy, consent_on=date(2026, 6, 1))
        names[name] = rights.as_ruled(one, ruled_by).licence
    assert names == {"licensed": "", "eu_tdm": "", "research": "", "own": OWN}
    own = rights.as_ruled(one, rights.ruling(POLICIES["own"], consent_on=date(2026, 6, 1)))
    assert rights.attribution(own) == "T by A, own, or by contract, http://a.test/a.jpg"
    assert own == dataclasses.replace(one, licence=OWN)


@given(st.lists(EVIDENCE, max_size=4), st.lists(SIGNALS, max_size=2), POLICY)
def test_the_licence_that_was_gone_by_is_judged_as_before(evidence, signals, policy):
    one = item(evidence=evidence, signals=signals)
    again = rights.as_ruled(one, rights.ruling(policy, consent_on=date(2026, 6, 1)))
    assert decide(again, policy) == decide(one, policy)


@pytest.mark.parametrize("use", USES)
def test_what_a_use_leaves_out_is_a_restriction(use):
    ruling = rights.ruling(changed(use=use), consent_on=date(2026, 6, 1))
    barred = rights.restrictions(ruling)
    assert ("not for publication" in barred) is not use.publish
    assert ("not commercial" in barred) is not use.commercial
    words = rights.use(ruling).split(", ")
    assert words == [
        f"{'' if holds else 'not '}{word}"
        for word, holds in (("commercial", use.commercial), ("published", use.publish))
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "T by A, CC-BY-4.0, http://a.test/a.jpg"),
        ({"title": "", "author": ""}, "Untitled by unknown, CC-BY-4.0, http://a.test/a.jpg"),
        ({"credit": "Photo: Ann / Agency"}, "Photo: Ann / Agency, CC-BY-4.0, http://a.test/a.jpg"),
        ({"licence": ""}, "T by A, licence unknown, http://a.test/a.jpg"),
        ({"licence": OWN}, "T by A, own, or by contract, http://a.test/a.jpg"),
        ({"title": "two\n\n# lines\t here"}, "two # lines here by A, CC-BY-4.0, http://a.test/a.jpg"),
    ],
)
def test_a_source_is_named_in_one_line(values, line):
    assert rights.attribution(item("CC-BY-4.0", **values)) == line


def test_a_picture_reserves_its_rights_where_a_word_that_counts_says_so_of_itself():
    words = said("© Ann. All rights reserved", where="xmp dc:rights")
    assert rights.reserved(item(evidence=words), LICENSED)
    assert not rights.reserved(item(evidence=words), POLICIES["own"])
    page = said("all rights reserved", scope="page")
    assert not rights.reserved(item(evidence=page), LICENSED)
    assert ruled(evidence=page) == ("review", "licence unknown")
    assert not rights.reserved(item("CC-BY-4.0"), LICENSED)


def consent(id="release-1", **others):
    values = {"subjects": ("S-1",), "basis": "model release", "scope": ("train", "publish"), "granted": "2026-01-01"}
    return Consent(id=id, **(values | {"expires": "2026-12-31", "revoked": "", "evidence": ""} | others))


@pytest.mark.parametrize(
    ("record", "on", "why"),
    [
        ({}, "2026-06-01", ""),
        ({}, "2026-01-01", ""),
        ({}, "2026-12-31", ""),
        ({}, "2027-01-01", "expired on 2026-12-31"),
        ({}, "2025-12-31", "granted only from 2026-01-01"),
        ({"expires": ""}, "2099-01-01", ""),
        ({"revoked": "2026-06-01"}, "2026-05-31", ""),
        ({"revoked": "2026-06-01"}, "2026-06-01", "revoked on 2026-06-01"),
        ({"scope": ("train",)}, "2026-06-01", "does not cover publish"),
        ({"scope": ()}, "2026-06-01", "does not cover publish"),
        ({"scope": ("train", "publish", "show")}, "2026-06-01", ""),
    ],
)
def test_a_consent_counts_from_its_day_to_its_last_and_for_what_it_covers(record, on, why):
    known = rights.consents([consent(**record)], on=date.fromisoformat(on), scopes=["train", "publish"])
    assert known == {"release-1": why}
    assert rights.consented(item(consent="release-1"), known) is (why == "")


def test_a_consent_that_no_record_has_counts_as_none_and_is_said():
    records = [consent(), consent("gone", revoked="2026-02-01"), consent("unused", expires="2026-02-01")]
    known = rights.consents(records, on=date(2026, 6, 1), scopes=["train"])
    items = [item(consent=id) for id in ("release-1", "gone", "typo", "", "gone")]
    assert [rights.consented(each, known) for each in items] == [True, False, False, False, False]
    assert rights.void_consents(items, known) == ["gone: revoked on 2026-02-01", "typo: there is no such record"]


def test_only_a_consent_that_was_taken_back_by_the_day_is_withdrawn():
    records = [consent(), consent("back", revoked="2026-06-01"), consent("over", expires="2026-02-01")]
    assert rights.withdrawn(records, on=date(2026, 5, 31)) == frozenset()
    assert rights.withdrawn(records, on=date(2026, 6, 1)) == {"back"}
