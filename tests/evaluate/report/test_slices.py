from dataclasses import replace

import pytest

from stages.evaluate.report import slices
from stages.records import PictureScore


@pytest.fixture
def losses(pictures):
    """The adapter halves every loss but that of the last picture of the subject."""
    samples = [*pictures.plain("subject", "heldout"), *pictures.plain("prior", "heldout")]
    halves = dict.fromkeys([each.id for each in samples], 0.25) | {samples[2].id: 0.75}
    return samples, [
        PictureScore(id=f"{arm} {id}", metric="heldout_loss", arm=arm, sample=id, value=0.5 if arm == "base" else value)
        for arm in ("base", "adapter")
        for id, value in halves.items()
    ]


def test_the_worst_picture_comes_first_with_both_losses(pictures, losses):
    samples, rows = losses
    found = slices.worst(pictures, rows, "adapter")
    assert len(found) == 3
    assert (found[0].text, found[0].base, found[0].arm) == (samples[2].text, 0.5, 0.75)


def test_means_are_those_of_the_pictures_of_a_kind(pictures, losses):
    _, rows = losses
    found = {(each.kind, each.name): each for each in slices.slices(pictures, rows, "adapter")}
    subject = found["role", "subject"]
    assert (subject.count, subject.base) == (3, 0.5)
    assert subject.arm == pytest.approx((0.25 + 0.25 + 0.75) / 3)
    assert subject.change == pytest.approx(subject.arm - 0.5)


def test_what_gained_least_comes_first(pictures, losses):
    changes = [each.change for each in slices.slices(pictures, losses[1], "adapter")]
    assert len(changes) > 2
    assert changes == sorted(changes, reverse=True)


def test_what_all_have_in_common_is_no_kind_and_what_one_has_neither(pictures, losses):
    samples, rows = losses
    found = slices.slices(pictures, rows, "adapter")
    assert all(2 <= each.count < len(samples) for each in found)
    assert not [each for each in found if each.kind in {"size", "group"}]


def test_without_losses_there_is_nothing_to_show(pictures, losses):
    others = [replace(row, metric="another") for row in losses[1]]
    for rows in ([], others):
        assert slices.worst(pictures, rows, "adapter") == []
        assert slices.slices(pictures, rows, "adapter") == []
