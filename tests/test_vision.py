"""What reads beside models that see; how those are loaded is tested where they work (tests/measure/test_models.py)."""

import pytest

from stages.families.tiny import clip_tokenizer
from stages.vision import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader(None, clip_tokenizer(["cat"], length=8))


def test_a_text_becomes_tokens_between_two_marks(reader):
    ids = reader.tokenizer.convert_tokens_to_ids(["<|startoftext|>", "cat</w>", "cat</w>", "<|endoftext|>"])
    assert reader.tokens("cat cat").tolist() == [ids]


def test_a_text_that_is_cut_keeps_both_marks(reader):
    whole, cut = reader.tokens("cat " * 20)[0], reader.tokens("cat " * 20, limit=8)[0]
    assert (len(whole), len(cut)) == (22, 8)
    assert (cut[0], cut[-1]) == (whole[0], whole[-1])
