"""Parts that put a picture into words: one file each."""

from collections.abc import Callable

from stages.records import Item

Captioner = Callable[[Item], str]  # the words for one item; empty when it has none
