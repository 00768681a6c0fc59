"""From candidate to champion: the gate's word is written on the version, and the alias moves when it says so."""

from collections.abc import Sequence

from stages import versions
from stages.records import Reading, Score
from stages.register import gate
from stages.register.gate import Finding, Gate
from stages.versions import Version

ARM = "arm"  # the tag that names what of a training a version is
RESTRICTED = "restricted"  # the tag that says what must not be done with a version


def findings(version: Version, champion: Version | None, asked: Gate) -> list[Finding]:
    """How ``version`` stands to every condition, by the tables that it brings."""
    arm, scores = version.tags.get(ARM, ""), versions.rows(version, Score)
    found = gate.findings(scores, arm, asked)
    if champion is not None:
        new, old = versions.rows(version, Reading), versions.rows(champion, Reading)
        found.append(gate.against(new, old, gate.of(scores, asked.metric, arm), asked))
    return [*found, gate.publication(version.tags.get(RESTRICTED, ""), asked)]


def consider(version: Version, asked: Gate, *, promote: bool, anyway: str) -> list[Finding]:
    """Write on ``version`` how it stands beside the present champion; where ``promote`` and all is met, crown it.

    With a reason ``anyway`` it is crowned whatever the gate says of its scores, and the reason is written beside that.
    """
    champion = versions.champion(version.name)
    found = findings(version, champion, asked)
    state = gate.whole(found)
    crowned = promote and promotable(found) and (state == "met" or bool(anyway))
    reason = "by the gate" if state == "met" else f"anyway: {anyway}"
    beside = f"version {champion.number}" if champion else "none"
    tags = {"gate": state, "gate.champion": beside, "gate.findings": "; ".join(f"{e.state}: {e.words}" for e in found)}
    versions.describe(version, tags, _told(found, beside, reason if crowned else ""))
    if crowned:
        versions.crown(version, reason)
    return found


def promotable(found: Sequence[Finding]) -> bool:
    """Whether nothing stands against it that no reason overrules: what must not be done with a version."""
    return not any(each.final and each.state != "met" for each in found)


def _told(found: Sequence[Finding], beside: str, reason: str) -> str:
    lines = "\n".join(f"- {each.state}: {each.words}" for each in found)
    end = f"It became champion, {reason}." if reason else "It is not champion."
    return f"What it must show to become champion; the champion then: {beside}.\n\n{lines}\n\n{end}"
