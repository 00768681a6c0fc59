import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.families.tiny import GROUPS, Shape, clip_tokenizer, untrained

WORDS = ("a", "photo", "of", "coins", "café")


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer(WORDS, length=8)


def inner(tokenizer, text):
    """The tokens of ``text`` without the two marks."""
    return tokenizer(text).input_ids[1:-1]


@pytest.mark.parametrize("word", ["a", "photo", "of", "coins"])
def test_a_known_word_is_one_token(tokenizer, word):
    assert len(inner(tokenizer, word)) == 1
    assert len(inner(tokenizer, f"{word} {word}")) == 2


def test_words_that_begin_alike_are_one_token_each():
    tokenizer = clip_tokenizer(("coin", "coins", "co"), length=8)
    assert len(inner(tokenizer, "coin coins co")) == 3


def test_an_unknown_word_is_spelt(tokenizer):
    assert len(inner(tokenizer, "zebra")) == 5


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_can_be_encoded(tokenizer, text):
    tokens = tokenizer([text], padding="max_length", max_length=8, truncation=True).input_ids[0]
    assert len(tokens) == 8
    assert tokens[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id in tokens
    assert max(tokens) < len(tokenizer)


def test_no_letter_is_lost(tokenizer):
    assert tokenizer.decode(inner(tokenizer, "naïve 猫 🐈")).strip() == "naïve 猫 🐈"


def test_the_end_token_has_the_greatest_number(tokenizer):
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.bos_token_id == len(tokenizer) - 2


def test_the_same_words_give_the_same_tokens(tokenizer):
    assert clip_tokenizer(WORDS, length=8).get_vocab() == tokenizer.get_vocab()


def test_a_saved_tokenizer_reads_the_same(tokenizer, tmp_path):
    from transformers import CLIPTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    for text in ("a photo of coins", "zebra", "猫", ""):
        assert again(text).input_ids == tokenizer(text).input_ids
    assert again.model_max_length == 8


def test_the_parts_have_the_shape_that_was_asked_for(tiny_shape):
    pipeline = untrained(tiny_shape, WORDS)
    assert pipeline.unet.config.sample_size == 8
    assert pipeline.unet.config.block_out_channels == (8, 16)
    assert pipeline.unet.config.cross_attention_dim == pipeline.text_encoder.config.hidden_size == 16
    assert pipeline.text_encoder.config.vocab_size == len(pipeline.tokenizer)
    assert pipeline.text_encoder.config.eos_token_id == pipeline.tokenizer.eos_token_id
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert all(channels % GROUPS == 0 for channels in pipeline.vae.config.block_out_channels)


@pytest.mark.parametrize(("field", "value"), [("resolution", 20), ("text_width", 6), ("text_length", 2)])
def test_a_shape_that_cannot_be_is_refused(tiny_shape, field, value):
    from dataclasses import asdict

    with pytest.raises(ValidationError, match=field):
        Shape(**(asdict(tiny_shape) | {field: value}))
