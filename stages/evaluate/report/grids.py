"""Grids with the same seeds: a row for a prompt, a column for each arm, and what is real at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluate.pictures import Pictures
from stages.evaluate.report import words
from stages.images import Pixels
from stages.records import BASE, Arm, Generation, Role, Sample

SEEDS = 4  # pictures of a cell
ROWS = 12  # of a grid
SHEET = 12  # pictures across the sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prompt with some of its seeds."""

    prompt: str
    seeds: Sequence[int]
    cells: Sequence[tuple[Arm, Sequence[Pixels]]]  # each arm in the order of training, its pictures in that of seeds
    real: Sequence[Pixels]  # held-out pictures with these words


def rows(pictures: Pictures, role: Role) -> list[Row]:
    """At most ``ROWS`` rows: each prompt gets one before any gets a second."""
    drawn = pictures.by_arm(BASE, role)
    asked = {prompt: _portions(drawn, prompt) for prompt in sorted({each.prompt for each in drawn})}
    turns = range(max(map(len, asked.values()), default=0))
    ranked = [(turn, prompt) for turn in turns for prompt in asked if turn < len(asked[prompt])]
    kept = sorted((prompt, turn) for turn, prompt in ranked[:ROWS])
    return [_row(pictures, role, prompt, turn, asked[prompt][turn]) for prompt, turn in kept]


def sheet(pictures: Pictures) -> Pixels:
    """The subject by each arm (the same seeds below each other) and as it really is: rows of pictures."""
    lines = [[pictures.drawn(each) for each in _first(pictures, arm)] for arm in words.in_order(pictures.arms)]
    height, width = lines[0][0].shape[:2]
    real = [pictures.real(sample) for sample in pictures.plain("subject", "heldout")]
    lines.append([picture for picture in real if picture.shape[:2] == (height, width)][:SHEET])
    drawn = np.full((len(lines) * (height + 4), SHEET * (width + 4), 3), 255, dtype=np.uint8)
    for down, line in enumerate(lines):
        for across, picture in enumerate(line):
            top, left = down * (height + 4), across * (width + 4)
            drawn[top : top + height, left : left + width] = picture
    return drawn


def _portions(drawn: Sequence[Generation], prompt: str) -> list[list[int]]:
    seeds = [each.seed for each in drawn if each.prompt == prompt]
    return [seeds[start : start + SEEDS] for start in range(0, len(seeds), SEEDS)]


def _row(pictures: Pictures, role: Role, prompt: str, turn: int, seeds: Sequence[int]) -> Row:
    cells = [(arm, list(_cell(pictures, arm, role, (prompt, set(seeds))))) for arm in words.in_order(pictures.arms)]
    real = _of_words(pictures.plain(role, "heldout"), prompt)[turn * SEEDS : (turn + 1) * SEEDS]
    return Row(prompt=prompt, seeds=seeds, cells=cells, real=[pictures.real(sample) for sample in real])


def _cell(pictures: Pictures, arm: Arm, role: Role, asked: tuple[str, set[int]]) -> Iterator[Pixels]:
    prompt, seeds = asked
    for each in pictures.by_arm(arm, role):
        if each.prompt == prompt and each.seed in seeds:
            yield pictures.drawn(each)


def _of_words(samples: Sequence[Sample], prompt: str) -> list[Sample]:
    return [sample for sample in samples if sample.text == prompt]


def _first(pictures: Pictures, arm: Arm) -> list[Generation]:
    return pictures.by_arm(arm, "subject")[:SHEET]
