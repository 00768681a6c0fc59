"""Decide which frames stay: those we may use, that are good enough, and the best of their near-duplicates."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages import rights, tables, tensors
from stages.clean import blocklist
from stages.clean.balance import Balance, balance, summary
from stages.clean.rules import Config, check_measured
from stages.clean.suggestions import Suggestion, suggestions
from stages.clean.verdicts import Known, judge
from stages.errors import ConfigError, TableError
from stages.records import Consent, Frame, Item, Quality, Report, Ruling, Verdict

__all__ = ["Config", "run"]

log = logging.getLogger(__name__)

RIGHTS = "rights.yaml"  # of the source ``folder``: beside the pictures or inside their archive
UNSTATED = ("licence unknown", rights.RESERVED, "licences conflict")  # what a word of the owner settles
EMBEDDINGS = "embedding"  # the tensors that ``measure`` may leave, by frame


def run(config: Config, *, own: Path, crawled: Path, frames: Path, measured: Path, out: Path) -> Report:
    """Write one ``Verdict`` for each ``Frame``; report how many stay, how many go for which reason, and of what.

    Beside them lie a ``Balance`` of what stays and a ``Suggestion`` for each bound; neither changes a verdict. The
    ``Ruling`` tells whoever reads the verdicts by which policy they were given.

    Raises:
        ConfigError: when an entry of the block-list is none, or a rule in use has nothing measured to act on.
        TableError: when none stays, with the reasons.
    """
    stills, items, quality = tables.read(frames, Frame), tables.by_id(crawled, Item), tables.read(measured, Quality)
    check_measured(quality, config)
    listed = blocklist.read(own, config.blocklist)
    comparable = [each for each in quality if each.hash_quality >= config.min_hash_quality]
    consents = tables.read(crawled, Consent)
    known = Known(
        items=items,
        quality={each.id: each for each in quality},
        blocked=blocklist.blocked(stills, comparable, listed, distance=config.blocked_distance),
        consents=rights.consents(
            consents,
            on=config.consent_on,
            scopes=rights.needed(publish=config.policy.use.publish),
        ),
        withdrawn=rights.withdrawn(consents, on=config.consent_on),
        vectors=_vectors(measured) if config.likeness is not None else {},
    )
    verdicts, advice = judge(stills, known, config), suggestions(quality, config)
    ruling = rights.ruling(config.policy, consent_on=config.consent_on)
    judged = {id: rights.as_ruled(item, ruling) for id, item in items.items()}
    sources = balance(stills, judged, verdicts, thin=config.thin)
    tables.write(out, Verdict, verdicts)
    tables.write(out, Balance, sources)
    tables.write(out, Suggestion, advice)
    tables.write(out, Ruling, [ruling])
    log.info("clean: by the policy %s, for a use that is %s", ruling.policy, rights.use(ruling))
    _check(verdicts, {frame.id: items[frame.item] for frame in stills}, own=own)
    return {**_outcome(verdicts), **_groups(verdicts), **summary(sources), **_advised(advice)}


def _vectors(measured: Path) -> Mapping[str, NDArray[np.float32]]:
    if not any(measured.glob(f"{EMBEDDINGS}-*")):
        raise ConfigError(
            "clean.likeness: measure left no embeddings to compare; choose some, as embedding=clip, or set null"
        )
    return {id: tensor.float().numpy() for id, tensor in tensors.read(measured, EMBEDDINGS).items()}


def _check(verdicts: Sequence[Verdict], items: Mapping[str, Item], *, own: Path) -> None:
    """Raise TableError when none stays: which rule refused how many, and where the user can state rights to files of theirs."""
    if any(verdict.keep for verdict in verdicts):
        return
    dropped = Counter(each.reason for each in verdicts)
    commonest = sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))
    why = ", ".join(f"{count} {reason}" for reason, count in commonest)
    unstated = sum(each.reason in UNSTATED and not items[each.id].page for each in verdicts)
    theirs = f"state the licence of the {unstated} files of your own in {own / RIGHTS}, " if unstated else ""
    raise TableError(
        f"clean: none of {len(verdicts)} frames stays ({why}); "
        f"{theirs}loosen conf/clean.yaml, choose another of conf/policy or add pictures"
    )


def _outcome(verdicts: Sequence[Verdict]) -> Report:
    dropped = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    kept = sum(verdict.keep for verdict in verdicts)
    return {"kept": kept} | {f"dropped/{reason.replace(' ', '_')}": count for reason, count in sorted(dropped.items())}


def _groups(verdicts: Sequence[Verdict]) -> Report:
    """How many kept frames stand for others too, and how many frames the largest such group has."""
    kept = {verdict.id for verdict in verdicts if verdict.keep}
    sizes = Counter(verdict.twin for verdict in verdicts if verdict.twin in kept)
    return {"twins/groups": len(sizes), "twins/largest": 1 + max(sizes.values(), default=0)}


def _advised(advice: Sequence[Suggestion]) -> Report:
    """How many bounds could be suggested, and how many of these would drop other numbers of frames than now."""
    known = [each for each in advice if each.suggested is not None]
    return {"suggested": len(known), "suggested/other": sum(each.drops_now != each.drops_then for each in known)}
