"""The data set's card: what it holds, where that came from and by which right, who must be named.

The head is the metadata that the Hugging Face hub reads (docs: hub/datasets-cards). The hub knows fewer licences than
SPDX; what it does not know, and a mix of several, is ``other`` with a link to the table below.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from stages import cards
from stages.dataset.entries import Entry
from stages.records import Consent, Ruling
from stages.rights import restrictions

NAME = "darkroom"
# Identifiers of huggingface/hub-docs, docs/hub/repositories-licenses.md, as far as they are SPDX's in lower case.
_HUB = (
    "cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """On what ground the pictures stand here."""

    ruling: Ruling
    records: Sequence[Consent]  # all that are known


def written(entries: Sequence[Entry], splits: Mapping[str, str], grounds: Grounds) -> str:
    """The card as Markdown; ``splits`` names the files of each split, empty where the format has no such names."""
    head = yaml.safe_dump(_head(entries, splits, grounds.ruling), sort_keys=False, allow_unicode=True)
    named, names = [entry.consent for entry in entries], [entry.licence for entry in entries]
    parts = [
        f"# {NAME}",
        cards.warning(grounds.ruling),
        summary(entries),
        _counts(entries),
        "## People",
        people(entries),
        cards.consents(named, grounds.records, grounds.ruling, shown=True),
        cards.policy(grounds.ruling),
        f"## Licences\n\n{cards.licence_table(names, noun='pictures')}",
        "As the sources stated them in a form that machines read; nobody checked them by hand.",
        cards.duties(names),
        f"## Credits\n\n{cards.credit(entry.attribution for entry in entries)}",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def summary(entries: Sequence[Entry]) -> str:
    """One sentence on what there is."""
    roles = Counter(entry.role for entry in entries)
    return (
        f"{cards.counted(len(entries), 'captioned picture')}: {roles['subject']} of the subject, {roles['prior']} of what must not be lost. "
        "Near-duplicates and pictures of one page never cross the split."
    )


def people(entries: Sequence[Entry]) -> str:
    """What was done about people in the pictures."""
    redacted = sum(entry.redacted > 0 for entry in entries)
    consent = sum(bool(entry.consent) for entry in entries)
    return (
        f"Faces that a detector found were made unrecognisable in {cards.counted(redacted, 'picture')}; a record of consent "
        f"is named by {cards.counted(consent, 'picture')}. A detector misses faces: look before you publish."
    )


def _head(entries: Sequence[Entry], splits: Mapping[str, str], ruling: Ruling) -> dict[str, object]:
    names = {entry.licence for entry in entries}
    only = next(iter(names)).lower() if len(names) == 1 else ""
    rights = (
        {"license": only}
        if only in _HUB.split()
        else {"license": "other", "license_name": "per-picture", "license_link": "README.md"}
    )
    there = {entry.split for entry in entries}
    files = [{"split": split, "path": path} for split, path in splits.items() if split in there]
    configs = {"configs": [{"config_name": "default", "data_files": files}]} if files else {}
    tags = ["darkroom", *(words.replace(" ", "-") for words in restrictions(ruling))]
    return {**rights, "task_categories": ["text-to-image"], "tags": tags, **configs}


def _counts(entries: Sequence[Entry]) -> str:
    counts = Counter((entry.split, entry.role) for entry in entries)
    rows = "\n".join(f"| {split} | {role} | {count} |" for (split, role), count in sorted(counts.items()))
    return f"| split | role | pictures |\n|---|---|---|\n{rows}"
