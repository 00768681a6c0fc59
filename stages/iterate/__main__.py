"""The loop: reproduce, find what was learned less, fetch more of it, and again, until nothing is flagged or gained.

    python -m stages.iterate --rounds 3 [OVERRIDE …]   as `+experiment=starved`
    python -m stages.iterate apply                     hand over once; then `dvc exp run -S +experiment=next`

What is handed over lies in ``data/own/next``. A loop that was stopped goes on from there: what DVC has is not computed
again. To begin from nothing, remove that folder; but what was held out before may then be trained on.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from stages import params, rounds
from stages.errors import DarkroomError
from stages.iterate import progress
from stages.iterate.progress import Gain, State

DATA = Path("data")
OWN = DATA / "own"
FOLLOW = ("crawl.follow_requests=true", "prepare.follow_weights=true")  # what +experiment=next sets
LAST = "feedback"  # the stage that a round ends with: the loop registers no models

Reproduce = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """By what a round is compared with the one before."""

    metric: str
    resamples: int
    seed: int


def main(arguments: Sequence[str]) -> int:
    """Do what ``arguments`` say; 1 when the user has something to put right."""
    parser = argparse.ArgumentParser(prog="python -m stages.iterate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    given = parser.parse_args(arguments)
    try:
        if given.overrides == ["apply"]:
            handed_over()
        else:
            loop(given.rounds, given.overrides, reproduce)
    except DarkroomError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def loop(most: int, overrides: Sequence[str], reproduce: Reproduce) -> None:
    """At most ``most`` rounds, and a table of them at the end, and of what was done when one fails."""
    made: list[State] = []
    lines = [HEAD]
    try:
        for number in range(1, most + 1):
            follow = FOLLOW if (OWN / rounds.FOLDER).is_dir() else ()
            reproduce([*overrides, *follow])
            how = judging()
            now = progress.read(DATA, how.metric)
            gained, rest = compared(made[-1] if made else None, now, how)
            lines.append(line(str(number), now, gained, rest))
            why = progress.stop(now, gained, is_first=not made, is_last=number == most)
            if why:
                lines += [line("all", now, *compared(made[0], now, how))] if number > 2 else []
                lines.append(f"stopped after round {number}: {why}")
                return
            handed_over()
            made.append(now)
    finally:
        sys.stdout.write("\n".join(lines) + "\n")


def compared(before: State | None, now: State, how: Judging) -> tuple[Gain | None, Gain | None]:
    """What the slices gained that were flagged before, and what all others did."""
    if before is None:
        return None, None
    return (
        progress.gain(before, now, progress.behind(before), resamples=how.resamples, seed=how.seed),
        progress.gain(before, now, progress.others(before), resamples=how.resamples, seed=how.seed),
    )


HEAD = f"{'round':>5} {'trained':>8} {'held out':>9}  {'loss of what was behind':26} {'of the rest':26} flagged"


def line(number: str, now: State, gained: Gain | None, rest: Gain | None) -> str:
    """One round, as the columns of ``HEAD``: losses are factors on those of the round before, of "all" on the first's."""
    named = ", ".join(f"{each.id} ({each.effect:.2f} sd, q {each.q:.4f})" for each in now.flagged) or "nothing"
    return f"{number:>5} {now.trained:8} {len(now.losses):9}  {_factor(gained):26} {_factor(rest):26} {named}"


def _factor(gained: Gain | None) -> str:
    return f"x {gained.factor:.3f} ({gained.low:.3f} … {gained.high:.3f})" if gained else ""


def handed_over() -> None:
    """Put requests, weights and the held-out list where the next round finds them, and say so."""
    asked, held = rounds.hand_over(OWN, feedback=DATA / "feedback", prepared=DATA / "prepare")
    sys.stdout.write(f"{OWN / rounds.FOLDER}: {asked} requests; {held} frames are held out for ever\n")


def judging() -> Judging:
    """The settings of the round that was just made."""
    values = yaml.safe_load(Path("params.yaml").read_bytes())
    resampling = values["evaluate"]
    return Judging(metric=values[LAST]["metric"], resamples=resampling["resamples"], seed=resampling["seed"])


def reproduce(overrides: Sequence[str]) -> None:
    """params.yaml by ``overrides``, and every stage that a round needs.

    Raises:
        DarkroomError: when that fails; why, was said before.
    """
    if params.main(overrides):
        raise DarkroomError("iterate: params.yaml could not be composed; see above, and correct the overrides")
    if subprocess.run([sys.executable, "-m", "dvc", "repro", LAST], check=False).returncode:  # noqa: S603
        raise DarkroomError("iterate: `dvc repro` failed; put right what it says above, and start the loop again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
