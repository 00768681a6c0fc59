"""How many failures a stage bears: each is a row with its reason, and too many of them are an error."""

from collections import Counter
from collections.abc import Sequence

from stages.errors import ImageError
from stages.records import Failure

NAMED = 3  # reasons in the message
LONGEST = 120  # letters of one


def check(failures: Sequence[Failure], tried: int, *, most: float, where: str, cure: str) -> None:
    """Stop the stage ``where`` when more than the share ``most`` of what it ``tried`` failed; ``cure`` is what would help.

    Raises:
        ImageError: with the commonest reasons, how often each came, and the first thing that failed.
    """
    if len(failures) <= most * tried:
        return
    counts = Counter(failure.reason for failure in failures)
    commonest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    reasons = "; ".join(f"{_cut(reason)} ({count})" for reason, count in commonest[:NAMED])
    more = f"; and {len(commonest) - NAMED} other reasons" if len(commonest) > NAMED else ""
    raise ImageError(
        f"{where}: {len(failures)} of {tried} failed, more than {where}.max_failures = {most} allows: {reasons}{more}; "
        f"{cure}; the first: {failures[0].what}"
    )


def _cut(reason: str) -> str:
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}…"
