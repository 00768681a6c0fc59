"""Versions as text of at most 80 columns: pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.records import Reading, Score
from stages.register import gate
from stages.register.gate import Gate
from stages.register.promotion import RESTRICTED
from stages.registry.relocation import Change
from stages.versions import CANDIDATE, CHAMPION, Version

DATA = "data.data/prepare"  # the tag with the digest of the pictures that it learned from and was judged by
COLUMN = 26  # of a value with its interval


@dataclass(frozen=True, slots=True)
class Side:
    """One of two versions that are compared."""

    version: Version
    scores: Mapping[str, Score]  # of its arm, by metric
    readings: Sequence[Reading]
    parameters: Mapping[str, str]


def table(found: Sequence[Version], name: str, metric: str) -> str:
    """A line for each version: number, alias, ``metric``, digest of the data, day, and what may be done with it."""
    if not found:
        return f"{name}: no version is registered yet; `dvc repro` registers what passes"
    head = _line("", "alias", metric, "data", "date", "use")
    return "\n".join([head, *(_row(each, metric) for each in found)])


def use(version: Version) -> str:
    """What may be done with ``version``, in a word or two."""
    barred = version.tags.get(RESTRICTED, "")
    if not barred:
        return "any use"
    return "in-house" if "publication" in barred else "no sale"


def scores(one: Side, other: Side) -> str:
    """The scores that both have and that mean the same, then the names of the others."""
    names = [name for name, score in one.scores.items() if name in other.scores and _alike(score, other.scores[name])]
    lines = [_beside("", f"version {one.version.number}", f"version {other.version.number}")]
    lines += [_beside(name, gate.said(one.scores[name]), gate.said(other.scores[name])) for name in names]
    rest = sorted((set(one.scores) | set(other.scores)) - set(names))
    if rest:
        lines.append(f"not the same measure in both, and left out: {', '.join(rest)}")
    return "\n".join(lines)


def pictures(one: Side, other: Side, asked: Gate) -> str:
    """The difference by the held-out pictures, each beside itself, or why there is none."""
    numbers = f"version {other.version.number} against {one.version.number}"
    fault = gate.incomparable(other.readings, one.readings)
    if fault:
        return f"{numbers}: cannot be compared picture by picture: {fault}"
    delta, low, high = gate.difference(other.readings, one.readings, asked)
    metric, count = other.readings[0].metric, len(other.readings)
    return f"{numbers}, {count} held-out pictures: {metric} {delta:+.4g} ({low:.4g} … {high:.4g})"


def parameters(one: Side, other: Side) -> str:
    """The parameters in which they differ."""
    if not one.parameters or not other.parameters:
        return "parameters: not known, for a run was removed from MLflow"
    names = sorted(set(one.parameters) | set(other.parameters))
    pairs = [(name, one.parameters.get(name, "–"), other.parameters.get(name, "–")) for name in names]
    lines = [f"{name}: {before} -> {after}" for name, before, after in pairs if before != after]
    return "\n".join(["parameters that differ:", *lines]) if lines else "parameters: the same"


def moves(found: Sequence[Change]) -> str:
    """What a relocation changes."""
    if not found:
        return "every address is right: nothing to mend"
    lines = [f"{each.table}.{each.column}: {each.count} from {each.old} to {each.new}" for each in found]
    return "\n".join(lines)


def _row(version: Version, metric: str) -> str:
    alias = next((alias for alias in (CHAMPION, CANDIDATE) if alias in version.aliases), "")
    data = version.tags.get(DATA, "–")[:8]
    return _line(str(version.number), alias, version.tags.get(metric, "–"), data, f"{version.created}", use(version))


def _line(*cells: str) -> str:
    number, alias, value, data, day, mark = cells
    return f"{number:>4}  {alias:9}  {value:{COLUMN}}  {data:8}  {day:10}  {mark}".rstrip()


def _beside(*cells: str) -> str:
    name, one, other = cells
    return f"{name:22}  {one:{COLUMN}}  {other}".rstrip()


def _alike(one: Score, other: Score) -> bool:
    return one.definition == other.definition
