"""What every card says in Markdown, of a model or of a data set: by which policy, by which licences, by whose consent.

Pure functions. Text from the web is escaped, so that it makes no link, tag or table.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from stages import licences, rights
from stages.records import Consent, Ruling, Scope

OWN = (
    "Own, or by contract: whoever made this says in `rights.yaml` that the pictures are theirs, or that a contract covers "
    "the declared use. No public licence stands behind them, and this card gives nobody else one."
)


def counted(number: int, noun: str) -> str:
    """``number`` with its noun: 1 picture, 2 pictures, 1,000 pictures."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def safe(text: str) -> str:
    """``text`` from the web, so that Markdown shows it and makes no link, tag or table of it."""
    return re.sub(r"([\\<\[`|*])", r"\\\1", text)


def warning(ruling: Ruling) -> str:
    """What must not be done, in bold, for the top of a card; empty when all may."""
    barred = " and ".join(rights.restrictions(ruling))
    return (
        f"**{barred.capitalize()}**: the policy `{ruling.policy}` chose the pictures for no such use." if barred else ""
    )


def policy(ruling: Ruling) -> str:
    """The section on the policy: its name, its digest, the declared use and every setting."""
    rows = "\n".join(f"| {name} | {safe(value)} |" for name, value in sorted(ruling.settings.items()))
    return (
        f"## By which policy\n\nThe policy `{safe(ruling.policy)}` (SHA-256 `{ruling.id}`) chose the pictures. "
        f"The declared use is {rights.use(ruling)}.\n\n| setting | value |\n|---|---|\n{rows}"
    )


def licence_table(names: Iterable[str], *, noun: str) -> str:
    """A table of licences (SPDX, empty where unknown) and how many pictures stand under each."""
    kinds = Counter(names)
    rows = "\n".join(f"| {_linked(name)} | {count} |" for name, count in sorted(kinds.items()))
    table = f"| licence | {noun} |\n|---|---|\n{rows}"
    return f"{table}\n\n{OWN}" if licences.OWN in kinds else table


def duties(names: Iterable[str]) -> str:
    """What the strictest of the licences ask for together, and which of them ask."""
    stated = set(names)
    found = licences.duties(stated)
    lines = [f"- {duty}: {', '.join(map(licences.label, names))}" for duty, names in found.because.items() if names]
    lines += ["- keep to the contract, where one stands behind what is own"] if licences.OWN in stated else []
    lines += ["- find out what the unknown ones ask for"] if found.unknown else []
    lines += [f"- leave some out: no model can carry {' and '.join(found.clash)} together"] if found.clash else []
    return "### What they ask for\n\n" + ("\n".join(lines) or "Nothing: all are free of conditions.")


def consents(named: Sequence[str], records: Iterable[Consent], ruling: Ruling, *, shown: bool = False) -> str:
    """A line for each consent that pictures name: whether it counts, or why not; empty when none is named.

    Args:
        named: the consent of each picture, empty where it names none.
        records: all that are known.
        ruling: says on which day they have to count, and whether for publishing.
        shown: whether the pictures themselves are passed on, which a consent must cover where it is for publishing.
    """
    if not any(named):
        return ""
    scopes: tuple[Scope, ...] = rights.needed(publish=ruling.publish)
    if shown and ruling.publish:
        scopes += ("show",)
    known = rights.consents(records, on=date.fromisoformat(ruling.consent_on), scopes=scopes)
    pictures = Counter(name for name in named if name)
    lines = [
        f"- {safe(id)}, {counted(count, 'picture')}: {_standing(known.get(id, rights.NO_RECORD))}"
        for id, count in sorted(pictures.items())
    ]
    asked = f"Checked for {ruling.consent_on}, to cover: {', '.join(sorted(scopes))}."
    return "### Consents\n\n" + asked + "\n\n" + "\n".join(lines)


def credit(lines: Iterable[str]) -> str:
    """Each line that names a source, once."""
    return "\n".join(f"- {safe(line)}" for line in sorted(set(lines)))


def _standing(reason: str) -> str:
    return f"**does not count**, {reason}" if reason else "counts; keep to it"


def _linked(licence: str) -> str:
    """``licence`` with a link to its text, where it has one."""
    address, name = licences.page(licence), licences.label(licence)
    return f"[{name}]({address})" if address else name
