"""What a policy says of one picture: whether what is known of the rights to it lets us train on it, by which rule.

Pure functions over rows. Deny beats allow beats unknown, and nothing here knows the time: dates come in as arguments.
What a policy decides hangs on the recorded statements and signals alone, so a changed one decides again without asking
the web. No legal advice.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Literal

from stages import licences
from stages.config import settings
from stages.licences import TERMS, Terms
from stages.records import Consent, Evidence, Item, Ruling, Scope

# Fields that say who holds the rights or where to buy some. They are no licence, but may name one or refuse all.
NOTICES = frozenset(
    ("copyrightnotice", "acquirelicensepage", "dc:rights", "dc.rights", "dcterms.rights", "copyright", "rights",
     "cc:attributionurl", "plus:licensorurl")
)  # fmt: skip
OPTED_OUT = "opted out"  # the rule that a denial of training is refused by
RESERVED = "rights reserved"  # the rule on what says of itself that all rights are
NO_RECORD = "there is no such record"
REFUSALS = ("all rights reserved", "alle rechte vorbehalten", "tous droits réservés", "todos los derechos reservados")


@settings
class Use:
    """What the trained model is for. Every picture is adapted for it: cropped to a size, and faces made unrecognisable."""

    commercial: bool  # it may earn money
    publish: bool  # its weights leave the house


@settings
class Policy:
    """What must speak for a picture, and what may speak against it. One of ``conf/policy``."""

    id: str  # the name of its file, for cards and the registry
    use: Use
    unlicensed: Literal["review", "allow"]  # pictures of which no known licence is stated
    word_of: Literal["all", "sidecar"]  # whose statements count; sidecar: only what the user states by hand
    opt_outs: tuple[Literal["train-generative", "train-any", "tdm", "index"], ...]  # denials that are honoured
    licence_overrides: bool  # a licence that allows the use goes before a denial, as a contract would
    unclear_signals: Literal["allow", "review"]  # one that could not be read, or leaves it open
    share_alike: Literal["allow", "review"]  # may the model have to carry the same licence?
    platform_terms: Literal["allow", "review"]  # one site's own licence, as Unsplash's
    reviewed: tuple[str, ...]  # ids (SHA-256) that a person has looked at: no review is asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy says of one picture."""

    verdict: Literal["allow", "deny", "review"]
    rule: str  # the short name of what decided; empty where nothing speaks against the picture


ALLOWED = Decision(verdict="allow", rule="")


def decide(item: Item, policy: Policy) -> Decision:
    """Whether ``item`` may be used: what forbids it goes first, then what a person must look at."""
    evidence = _counting(item, policy)
    licence = item.licence if policy.word_of == "all" else licence_of(evidence)
    if refusal := _refusal(item, _terms(licence, evidence), policy, licensed=licence in TERMS):
        return Decision(verdict="deny", rule=refusal)
    doubt = _doubt(licence, evidence, policy) or _unclear(item, policy)
    if doubt and item.id not in policy.reviewed:
        return Decision(verdict="review", rule=doubt)
    return ALLOWED


def reserved(item: Item, policy: Policy) -> bool:
    """Whether something that ``policy`` counts says of ``item`` itself, and not of its page, that all rights are reserved."""
    return _reserves(_counting(item, policy))


def licence_of(evidence: Iterable[Evidence]) -> str:
    """The strictest licence (SPDX) that ``evidence`` states of one picture; empty when unknown.

    What is stated of the picture itself goes before what is stated of its page.
    """
    return licences.strictest(statements(evidence) or [""])


def statements(evidence: Iterable[Evidence]) -> list[str]:
    """The licences that are stated, as identifiers, empty where unknown: of the picture itself, or else of its page."""
    stated = [each for each in evidence if _states(each)]
    own = [each for each in stated if each.scope == "picture"]
    return [_name(each) for each in own or stated]


def digest(policy: Policy) -> str:
    """64 hex digits that stand for ``policy``: two that differ in any value differ in theirs."""
    return hashlib.sha256(json.dumps(asdict(policy), sort_keys=True).encode()).hexdigest()


def ruling(policy: Policy, *, consent_on: date) -> Ruling:
    """``policy`` as the row that travels with what it chose."""
    values = {key: value for key, value in asdict(policy).items() if key not in ("id", "use", "reviewed")}
    settings_of = {f"use.{key}": _text(value) for key, value in asdict(policy.use).items()}
    settings_of |= {key: _text(value) for key, value in values.items()}
    return Ruling(
        id=digest(policy),
        policy=policy.id,
        commercial=policy.use.commercial,
        publish=policy.use.publish,
        word_of=policy.word_of,
        settings={**settings_of, "reviewed": str(len(policy.reviewed))},
        consent_on=consent_on.isoformat(),
    )


def use(ruling: Ruling) -> str:
    """The declared use in words: "commercial, published"."""
    words = {"commercial": ruling.commercial, "published": ruling.publish}
    return ", ".join(word if holds else f"not {word}" for word, holds in words.items())


def restrictions(ruling: Ruling) -> list[str]:
    """What must not be done with what was chosen under ``ruling``; nothing when it may be published and sold."""
    barred = {"not for publication": not ruling.publish, "not commercial": not ruling.commercial}
    return [words for words, holds in barred.items() if holds]


def as_ruled(item: Item, ruling: Ruling) -> Item:
    """``item`` with the licence that ``ruling`` went by: where the user's word alone counts, the one in ``rights.yaml``."""
    return item if ruling.word_of == "all" else replace(item, licence=licence_of(_sidecar(item)))


def attribution(item: Item) -> str:
    """The line that names a picture's source: title, author, licence and address, as Creative Commons recommends.

    Where the source asks for a line of its own, that one stands in for title and author.
    """
    named = item.credit or f"{item.title or 'Untitled'} by {item.author or 'unknown'}"
    licence = licences.label(item.licence) if item.licence else "licence unknown"
    return " ".join(f"{named}, {licence}, {item.url}".split())


def needed(*, publish: bool) -> tuple[Scope, ...]:
    """What a consent must cover to count; ``publish``: the weights leave the house."""
    return ("train", "publish") if publish else ("train",)


def consents(records: Iterable[Consent], *, on: date, scopes: Iterable[Scope]) -> dict[str, str]:
    """Why the record of each id does not count on the day ``on`` for all ``scopes``; empty where it does."""
    wanted = sorted(scopes)
    return {each.id: _void(each, on, wanted) for each in records}


def withdrawn(records: Iterable[Consent], *, on: date) -> frozenset[str]:
    """The ids of the consents that were taken back by the day ``on``, which says more than that there is none."""
    return frozenset(each.id for each in records if _revoked(each, on))


def consented(item: Item, known: Mapping[str, str]) -> bool:
    """Whether a record that counts covers the people in ``item``; ``known`` is from ``consents``."""
    return bool(item.consent) and known.get(item.consent, NO_RECORD) == ""


def void_consents(items: Iterable[Item], known: Mapping[str, str]) -> list[str]:
    """A line for each consent that ``items`` name and that does not count: its id, and why."""
    named = sorted({item.consent for item in items if item.consent})
    why = {id: known.get(id, NO_RECORD) for id in named}
    return [f"{id}: {reason}" for id, reason in why.items() if reason]


def _counting(item: Item, policy: Policy) -> list[Evidence]:
    """The statements on ``item`` that ``policy`` listens to."""
    return list(item.licence_evidence) if policy.word_of == "all" else _sidecar(item)


def _sidecar(item: Item) -> list[Evidence]:
    return [each for each in item.licence_evidence if each.where == "sidecar"]


def _text(value: object) -> str:
    """A value of a policy as one would write it in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)


def _terms(licence: str, evidence: Iterable[Evidence]) -> list[Terms]:
    """The terms of ``licence``; where it is unknown, of all that is stated and known, so that each can forbid."""
    names = [licence] if licence in TERMS else [_name(each) for each in evidence]
    return [TERMS[name] for name in names if name]


def _refusal(item: Item, terms: Sequence[Terms], policy: Policy, *, licensed: bool) -> str:
    denied = any(each.verdict == "deny" and each.category in policy.opt_outs for each in item.signals)
    if denied and not (licensed and policy.licence_overrides):
        return OPTED_OUT
    return next((why for each in terms if (why := _barred(each, policy.use))), "")


def _barred(terms: Terms, use: Use) -> str:
    """What of ``use`` the terms forbid."""
    if use.commercial and not terms.commercial:
        return "licence non-commercial"
    if not (terms.derivatives if use.publish else terms.private_changes):
        return "licence without adaptations"
    return ""


def _doubt(licence: str, evidence: Sequence[Evidence], policy: Policy) -> str:
    """What a person must look at in the licence."""
    if policy.unlicensed == "review" and licences.conflict(statements(evidence)):
        return "licences conflict"
    if policy.unlicensed == "review" and licence not in TERMS:
        return RESERVED if _reserves(evidence) else "licence unknown"
    terms = _terms(licence, evidence)
    if policy.platform_terms == "review" and any(each.platform for each in terms):
        return "licence of a platform"
    if policy.share_alike == "review" and policy.use.publish and any(each.share_alike for each in terms):
        return "licence share-alike"
    return ""


def _unclear(item: Item, policy: Policy) -> str:
    """What a person must look at in the signals."""
    open_ = any(each.verdict == "unknown" and each.category in policy.opt_outs for each in item.signals)
    return "signal unclear" if open_ and policy.unclear_signals == "review" else ""


def _states(evidence: Evidence) -> bool:
    """Whether ``evidence`` states a licence, or refuses all; a notice of copyright alone does neither."""
    if evidence.where.split(" ")[-1].lower() not in NOTICES:
        return True
    return bool(_name(evidence)) or _refuses(evidence)


def _refuses(evidence: Evidence) -> bool:
    return any(words in evidence.raw.lower() for words in REFUSALS)


def _reserves(evidence: Iterable[Evidence]) -> bool:
    return any(each.scope == "picture" and _refuses(each) for each in evidence)


def _name(evidence: Evidence) -> str:
    """The identifier of what is stated; only the user can state that a picture is the user's own."""
    if evidence.where == "sidecar" and evidence.raw.strip().lower() in ("own", licences.OWN.lower()):
        return licences.OWN
    return licences.spdx(evidence.raw)


def _revoked(record: Consent, on: date) -> bool:
    return bool(record.revoked) and date.fromisoformat(record.revoked) <= on


def _void(record: Consent, on: date, scopes: Iterable[Scope]) -> str:
    if _revoked(record, on):
        return f"revoked on {record.revoked}"
    if date.fromisoformat(record.granted) > on:
        return f"granted only from {record.granted}"
    if record.expires and date.fromisoformat(record.expires) < on:
        return f"expired on {record.expires}"
    return next((f"does not cover {scope}" for scope in scopes if scope not in record.scope), "")
