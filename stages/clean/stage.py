"""Decide which frames stay: those we may use, that are good enough, and the best of their near-duplicates."""

from collections import Counter
from pathlib import Path

from stages import rights, tables
from stages.clean.verdicts import Config, judge
from stages.errors import TableError
from stages.records import Failure, Frame, Item, Quality, Report, Verdict

__all__ = ["Config", "run"]


def run(config: Config, *, crawled: Path, frames: Path, measured: Path, out: Path) -> Report:
    """Write one ``Verdict`` for each ``Frame``; report how many stay, and how many go for which reason.

    Raises:
        TableError: when none stays, with the reasons.
    """
    verdicts = judge(
        tables.read(frames, Frame),
        tables.by_id(crawled, Item),
        tables.read(measured, Quality),
        tables.read(measured, Failure),
        config,
    )
    tables.write(out, Verdict, verdicts)
    dropped = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    kept = sum(verdict.keep for verdict in verdicts)
    if not kept:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise TableError(
            f"clean: none of {len(verdicts)} frames stays ({why}); loosen conf/clean.yaml, choose another of conf/policy or add pictures"
        )
    reasons = {f"dropped/{reason.replace(' ', '_')}": count for reason, count in sorted(dropped.items())}
    return {"kept": kept} | reasons | {"policy": rights.mark(config.policy)}
