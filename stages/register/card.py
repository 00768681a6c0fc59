"""The model card: what the adapter is, what it learned from and by which right, how it was judged, what it is not."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stages import licences, rights
from stages.records import Item, Sample, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the card is written from."""

    name: str
    family: str
    base: str  # the base model's own name
    base_licence: str
    subject: str
    result: str  # digest of the result
    items: Sequence[Item]  # whose pictures were used
    samples: Sequence[Sample]
    scores: Sequence[Score]


def written(facts: Facts) -> str:
    """The card as Markdown."""
    return "\n\n".join([_head(facts), _judgement(facts.scores), _data(facts), _limits(facts), _again(facts)]) + "\n"


def _head(facts: Facts) -> str:
    return (
        f"# {facts.name}\n\nA LoRA for {facts.base} ({facts.base_licence}), family `{facts.family}`. "
        f"It was taught: {facts.subject}."
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
        lines.append(f"| {score.id} | {' | '.join(cells)} | {span} | {score.count} | {score.verdict or '–'} |")
    return "\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:])


def _data(facts: Facts) -> str:
    plain = Counter((sample.role, sample.split) for sample in facts.samples if not sample.variant)
    counts = ", ".join(f"{count} {role} {split}" for (role, split), count in sorted(plain.items()))
    kinds = Counter(item.licence for item in facts.items)
    table = "\n".join(f"| {_linked(licence)} | {count} |" for licence, count in sorted(kinds.items()))
    credit = "\n".join(f"- {_safe(line)}" for line in sorted({rights.attribution(item) for item in facts.items}))
    return (
        f"## What it learned from\n\n{counts}.\n\n| licence | files |\n|---|---|\n{table}\n\n"
        f"{_duties(facts.items)}\n\n### Credits\n\nAll pictures were cropped and scaled.\n\n{credit}"
    )


def _safe(text: str) -> str:
    """``text`` from the web, so that Markdown shows it and makes no link, tag or table of it."""
    return re.sub(r"([\\<\[`|*])", r"\\\1", text)


def _linked(licence: str) -> str:
    """``licence`` with a link to its text, where it has one; "unknown" for none."""
    address = licences.page(licence)
    return f"[{licence}]({address})" if address else licence or "unknown"


def _duties(items: Sequence[Item]) -> str:
    """What the strictest of the pictures' licences ask for together, and which of them ask."""
    found = licences.duties(item.licence for item in items)
    lines = [f"- {duty}: {', '.join(names)}" for duty, names in found.because.items() if names]
    lines += ["- find out what the unknown ones ask for"] if found.unknown else []
    lines += [f"- leave some out: no model can carry {' and '.join(found.clash)} together"] if found.clash else []
    consents = sorted({item.consent for item in items if item.consent})
    lines += [f"- keep to the consents {', '.join(consents)}"] if consents else []
    return "### What they ask for\n\n" + ("\n".join(lines) or "Nothing: all are free of conditions.")


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
