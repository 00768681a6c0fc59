"""What a sweep found: its jobs from best to worst, as a table of 80 columns and as a picture."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.sweep import jobs
from stages.sweep.jobs import Outcome

WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One objective."""

    name: str  # ``stage/name`` of a report
    direction: str  # "minimize" or "maximize"

    def cost(self, outcome: Outcome) -> float:
        """Less is better; infinite where the job has no such number."""
        value = outcome.numbers.get(self.name, math.inf)
        return value if self.direction == "minimize" else -value if math.isfinite(value) else math.inf

    def span(self, outcome: Outcome) -> tuple[float, float] | None:
        """The interval that the reports give, for the difference to the base; none where there is none."""
        stem = self.name.rpartition("/")[0]
        found = [outcome.numbers.get(f"{stem}/{end}") for end in ("low", "high")]
        return None if None in found or not self.name.endswith("/delta") else (found[0], found[1])  # type: ignore[return-value]


def read(sweep: Path) -> dict[int, Outcome]:
    """The jobs of the folder ``sweep`` that have an outcome, by number."""
    numbers = sorted(int(folder.name) for folder in sweep.iterdir() if folder.is_dir() and folder.name.isdigit())
    found = {number: jobs.read(sweep / str(number)) for number in numbers}
    return {number: outcome for number, outcome in found.items() if outcome is not None}


def ranked(outcomes: Mapping[int, Outcome], goal: Goal) -> list[int]:
    """The numbers of the jobs, best first, those without the number last."""
    return sorted(outcomes, key=lambda number: (goal.cost(outcomes[number]), number))


def table(outcomes: Mapping[int, Outcome], goals: Sequence[Goal]) -> str:
    """A line for each job, best first, and one that says what it cost. No line is longer than 80 columns."""
    swept = varied(outcomes)
    lines = [f"{'job':>4}  {'status':8}  {goals[0].name[-28:]:28}  settings"]
    for number in ranked(outcomes, goals[0]):
        outcome = outcomes[number]
        values = "  ".join(_value(goal, outcome) for goal in goals)
        said = " ".join(f"{name.rpartition('.')[2]}={settings(outcome)[name]}" for name in swept)
        lines.append(f"{number:>4}  {outcome.status:8}  {values:28}  {said}"[:WIDTH].rstrip())
        lines += [f"      {line}"[:WIDTH] for line in outcome.why.splitlines()[-2:]]
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    ended = sum(outcome.status != "failed" for outcome in outcomes.values())
    return "\n".join([*lines, f"{ended} of {len(outcomes)} jobs came to an end, {seconds / 60:.1f} minutes in all"])


def varied(outcomes: Mapping[int, Outcome]) -> list[str]:
    """The settings in which the jobs differ; all that were given where there is one job."""
    each = [settings(outcome) for outcome in outcomes.values()]
    names = list(dict.fromkeys(name for values in each for name in values))
    different = [name for name in names if len({values.get(name) for values in each}) > 1]
    return different or names


def settings(outcome: Outcome) -> dict[str, str]:
    """What was given to a job, by name."""
    pairs = (override.partition("=") for override in outcome.overrides)
    return {name: value for name, _, value in pairs}


def picture(outcomes: Mapping[int, Outcome], goals: Sequence[Goal], file: Path) -> None:
    """A panel for each setting that was varied, with the first objective and its interval; the best job is filled.

    With two objectives a last panel has one against the other.
    """
    from matplotlib.figure import Figure

    done = {number: outcome for number, outcome in outcomes.items() if math.isfinite(goals[0].cost(outcome))}
    if not done:
        return
    names = varied(done)
    count = len(names) + (len(goals) > 1)
    figure = Figure(figsize=(4 * count, 3.4), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    best = ranked(done, goals[0])[0]
    for panel, name in zip(panels, names, strict=False):
        _scatter(panel, done, name, goals[0], best)
    if len(goals) > 1:
        _against(panels[-1], done, goals, best)
    figure.savefig(file, dpi=120, metadata={"Software": None})


def command(folder: Path) -> str:
    """How the result of the job in ``folder`` is made the project's own."""
    return f"python -m stages.sweep apply {shlex.quote(str(folder))}"


def _value(goal: Goal, outcome: Outcome) -> str:
    value = outcome.numbers.get(goal.name)
    if value is None:
        return "–"
    span = goal.span(outcome)
    return f"{value:.4g}" + (f" ({span[0]:.3g} … {span[1]:.3g})" if span else "")


def _scatter(panel: Any, done: Mapping[int, Outcome], name: str, goal: Goal, best: int) -> None:
    texts = {number: settings(outcome).get(name, "") for number, outcome in done.items()}
    places = _places(texts)
    for number, outcome in done.items():
        value, span = outcome.numbers[goal.name], goal.span(outcome)
        around = [[value - span[0]], [span[1] - value]] if span else None
        face = "tab:blue" if number == best else "white"
        panel.errorbar(places[number], value, around, fmt="o", color="tab:blue", markerfacecolor=face, linewidth=1)
    numbers = sorted(places.values())
    if _numeric(texts):
        panel.set_xscale("log" if numbers[0] > 0 and numbers[-1] / numbers[0] > 8 else "linear")
    else:
        panel.set_xticks(range(len(set(texts.values()))), sorted(set(texts.values())), rotation=20)
    panel.set_xlabel(name)
    panel.set_ylabel(goal.name)


def _against(panel: Any, done: Mapping[int, Outcome], goals: Sequence[Goal], best: int) -> None:
    for number, outcome in done.items():
        values = [outcome.numbers.get(goal.name, math.nan) for goal in goals[:2]]
        face = "tab:blue" if number == best else "white"
        panel.plot(*values, "o", color="tab:blue", markerfacecolor=face)
        panel.annotate(str(number), values, textcoords="offset points", xytext=(4, 4), fontsize=8)
    panel.set_xlabel(goals[0].name)
    panel.set_ylabel(goals[1].name)


def _places(texts: Mapping[int, str]) -> dict[int, float]:
    if _numeric(texts):
        return {number: float(text) for number, text in texts.items()}
    order = sorted(set(texts.values()))
    return {number: float(order.index(text)) for number, text in texts.items()}


def _numeric(texts: Mapping[int, str]) -> bool:
    try:
        return all(math.isfinite(float(text)) for text in texts.values())
    except ValueError:
        return False
