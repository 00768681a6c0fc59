"""The model card: what the adapter is, what it learned from and by which right, how it was judged, what it is not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stages import arms, cards, rights
from stages.records import BASE, Consent, Item, Recommendation, Ruling, Sample, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the card is written from."""

    name: str
    family: str
    base: str  # the base model's own name
    base_licence: str
    subject: str
    result: str  # digest of the result
    ruling: Ruling  # by which the pictures were chosen
    consents: Sequence[Consent]  # all records that are known
    items: Sequence[Item]  # whose pictures were used
    samples: Sequence[Sample]
    scores: Sequence[Score]  # of all arms
    chosen: Recommendation  # which of them this is


def written(facts: Facts) -> str:
    """The card as Markdown."""
    parts = [
        _head(facts),
        cards.warning(facts.ruling),
        _judgement([score for score in facts.scores if score.arm in {BASE, facts.chosen.id}]),
        cards.policy(facts.ruling),
        _data(facts),
    ]
    return "\n\n".join(part for part in [*parts, _limits(facts), _again(facts)] if part) + "\n"


def _head(facts: Facts) -> str:
    return (
        f"# {facts.name}\n\nA LoRA for {facts.base} ({facts.base_licence}), family `{facts.family}`. "
        f"It was taught: {facts.subject}. This is what was recommended: the adapter {arms.named(facts.chosen.id)} "
        f"({facts.chosen.reason})."
    )


def _judgement(scores: Sequence[Score]) -> str:
    lines = [
        "## How it was judged",
        "| metric | base | adapter | difference | 95 % interval | pictures | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for score in scores:
        cells = [_number(value) for value in (score.base, score.adapter, score.delta)]
        span = f"{_number(score.low)} … {_number(score.high)}"
        lines.append(f"| {score.metric} | {' | '.join(cells)} | {span} | {score.count} | {score.verdict or '–'} |")
    return "\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:])


def _data(facts: Facts) -> str:
    plain = Counter((sample.role, sample.split) for sample in facts.samples if not sample.variant)
    counts = ", ".join(f"{count} {role} {split}" for (role, split), count in sorted(plain.items()))
    names = [item.licence for item in facts.items]
    parts = [
        f"## What it learned from\n\n{counts}.",
        cards.licence_table(names, noun="files"),
        cards.duties(names),
        cards.consents([item.consent for item in facts.items], facts.consents, facts.ruling),
        f"### Credits\n\nAll pictures were cropped and scaled.\n\n{cards.credit(map(rights.attribution, facts.items))}",
    ]
    return "\n\n".join(part for part in parts if part)


def _limits(facts: Facts) -> str:
    return (
        "## What it is not\n\n"
        f"It was judged on held-out pictures of {facts.subject} and of what the base knew, and on nothing else. "
        "Distances named `fd_filters` are of colour and texture, not of Inception features. "
        "Licences are as the sources stated them; nobody checked them by hand."
    )


def _again(facts: Facts) -> str:
    return f"## Make it again\n\nResult `{facts.result}`: check out the commit that the version is tagged with and run `dvc repro`."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
