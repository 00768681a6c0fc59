"""Few failures are borne, too many are one message that says what went wrong most often."""

import pytest

from stages.errors import ImageError
from stages.failures import check
from stages.records import Failure


def failed(**reasons):
    """A failure of each name."""
    return [Failure(id=name, what=f"file:{name}", reason=reason) for name, reason in reasons.items()]


def test_as_many_as_are_allowed_are_borne():
    check([], 0, most=0.0, where="measure", cure="")
    check(failed(a="cut off"), 4, most=0.25, where="measure", cure="")


def test_the_message_counts_the_commonest_reasons_and_names_the_first_failure():
    rows = failed(a="no video", b="cut off", c="cut off", d="e" * 999, e="of 9 TB", f="haunted")
    with pytest.raises(ImageError) as error:
        check(rows, 10, most=0.5, where="frames", cure="mend them")
    assert str(error.value) == (
        "frames: 6 of 10 failed, more than frames.max_failures = 0.5 allows: cut off (2); "
        f"{'e' * 120}… (1); haunted (1); and 2 other reasons; mend them; the first: file:a"
    )
