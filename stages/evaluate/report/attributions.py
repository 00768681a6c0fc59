"""Whose pictures were used, under which policy and licences, and what those ask for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from stages import licences, rights, tables
from stages.evaluate.report.sources import Sources
from stages.records import Consent, Frame, Item, Ruling, Sample


def of(sources: Sources, items: Mapping[str, Item], samples: Sequence[Sample]) -> dict[str, Any]:
    """What the page says of rights, by the names of its template."""
    (ruling,) = tables.read(sources.cleaned, Ruling)
    used = [rights.as_ruled(item, ruling) for item in _used(sources, items, samples)]
    return {
        "credits": sorted(map(rights.attribution, used)),
        "licences": sorted(Counter(licences.label(item.licence) for item in used).items()),
        "duties": licences.duties(item.licence for item in used),
        "ruling": ruling,
        "use": rights.use(ruling),
        "restrictions": rights.restrictions(ruling),
        "consents": _consents(sources, used, ruling),
    }


def _used(sources: Sources, items: Mapping[str, Item], samples: Sequence[Sample]) -> list[Item]:
    """The items whose pictures were used to train or to judge."""
    frames = tables.by_id(sources.frames, Frame)
    return [items[id] for id in sorted({frames[sample.frame].item for sample in samples})]


def _consents(sources: Sources, used: Sequence[Item], ruling: Ruling) -> list[tuple[str, str]]:
    """Each consent that ``used`` name, and why it does not count; empty where it does."""
    known = rights.consents(
        tables.read(sources.crawled, Consent),
        on=date.fromisoformat(ruling.consent_on),
        scopes=rights.needed(publish=ruling.publish),
    )
    return [(id, known.get(id, rights.NO_RECORD)) for id in sorted({item.consent for item in used if item.consent})]
