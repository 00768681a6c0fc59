import numpy as np
import pytest

from stages.evaluate.report import grids


def test_a_row_holds_the_same_prompt_and_seeds_by_every_arm(pictures):
    drawn = pictures.by_arm("adapter", "subject")
    for row in grids.rows(pictures, "subject"):
        assert [arm for arm, _ in row.cells] == ["base", "adapter"]
        asked = [each for each in drawn if each.prompt == row.prompt and each.seed in row.seeds]
        assert [each.seed for each in asked] == list(row.seeds)
        assert all(np.array_equal(pictures.drawn(a), b) for a, b in zip(asked, row.cells[1][1], strict=True))


def test_real_pictures_stand_beside_their_own_words_and_no_others(pictures):
    rows = grids.rows(pictures, "subject")
    texts = {sample.text for sample in pictures.plain("subject", "heldout")}
    assert {row.prompt for row in rows if row.real} <= texts
    assert sum(len(row.real) for row in rows) == 3


def test_every_prompt_has_a_row_before_any_has_two(pictures, monkeypatch):
    monkeypatch.setattr(grids, "SEEDS", 1)
    prompts = {each.prompt for each in pictures.by_arm("base", "subject")}
    assert len(prompts) > 1
    monkeypatch.setattr(grids, "ROWS", len(prompts))
    assert {row.prompt for row in grids.rows(pictures, "subject")} == prompts
    assert [len(row.seeds) for row in grids.rows(pictures, "subject")] == [1] * len(prompts)


def test_without_pictures_there_are_no_rows(pictures, with_checkpoints):
    with_checkpoints.generations = []
    assert grids.rows(with_checkpoints, "subject") == []


@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_sheet_has_a_row_for_each_arm_and_one_for_what_is_real(pictures, with_checkpoints, checkpoints):
    those = with_checkpoints if checkpoints else pictures
    arms = ["base", "step-00000009", "step-00000010", "adapter"] if checkpoints else ["base", "adapter"]
    sheet = grids.sheet(those)
    assert sheet.shape == ((len(arms) + 1) * 20, grids.SHEET * 20, 3)
    for down, arm in enumerate(arms):
        first = those.drawn(those.by_arm(arm, "subject")[0])
        assert np.array_equal(sheet[20 * down : 20 * down + 16, :16], first)
    real = those.real(those.plain("subject", "heldout")[0])
    assert np.array_equal(sheet[20 * len(arms) : 20 * len(arms) + 16, :16], real)


def test_both_rows_of_the_sheet_have_the_same_seeds(pictures):
    base, adapter = (pictures.by_arm(arm, "subject") for arm in ("base", "adapter"))
    assert [(each.prompt, each.seed) for each in base] == [(each.prompt, each.seed) for each in adapter]
