"""What is kept comes back whole or not at all."""

import pytest

from stages import memory


def test_what_was_kept_comes_back_and_lies_in_a_folder_by_its_head(tmp_path):
    file = memory.place(tmp_path, "abc")
    assert memory.recalled(file) is None
    for content in (b"words", b""):
        memory.keep(file, content)
        assert memory.recalled(tmp_path / "ab" / "abc") == content


@pytest.mark.parametrize(
    "damage", [lambda kept: kept[:-1], lambda kept: kept + b"x", lambda kept: b"", lambda kept: kept[::-1]]
)
def test_a_damaged_answer_is_none(damage, tmp_path):
    file = memory.place(tmp_path, "abc")
    memory.keep(file, b"an answer that took long")
    file.write_bytes(damage(file.read_bytes()))
    assert memory.recalled(file) is None
