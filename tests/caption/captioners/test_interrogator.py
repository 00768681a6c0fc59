"""Words from lists: that the nearest wins by transformers' own figures, and that pattern and lists fit."""

import pytest
import torch

from stages import config as settings
from stages.caption import transformer
from stages.errors import ConfigError

LISTS = {"kind": ["photo", "picture", "image"], "what": ["cat", "dog", "coins", "grass"]}


def choice(folder, weights, **others):
    values = {"name": "interrogator", "model": weights(folder), "pattern": "{kind} of {what}", "lists": LISTS}
    return values | others


def test_the_nearest_words_are_those_of_clips_own_logits(clip_folder, weights, said, views, photographs):
    model = settings.check(weights(clip_folder), transformer.Model, where="test")
    loaded = transformer.load(model, auto="AutoModel", kinds=())
    seen = loaded.images(transformer.pictures(photographs), return_tensors="pt")["pixel_values"]
    best = {}
    for name, words in LISTS.items():
        tokens = loaded.tokenizer(words, padding="max_length", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            best[name] = loaded.model(input_ids=tokens, pixel_values=seen).logits_per_image.argmax(-1).tolist()
    expected = [f"{LISTS['kind'][k]} of {LISTS['what'][w]}" for k, w in zip(best["kind"], best["what"], strict=True)]
    assert said(choice(clip_folder, weights), views) == expected


def test_a_list_of_one_has_no_choice(clip_folder, weights, said, views):
    only = choice(clip_folder, weights, pattern="a {what}!", lists={"what": ["cat"]})
    assert said(only, views) == ["a cat!"] * 3


@pytest.mark.parametrize("pattern", ["{kind}", "{kind} {what} {more}", "{kind} {what.x}"])
def test_pattern_and_lists_must_name_the_same(pattern, clip_folder, weights, said, views):
    with pytest.raises(ConfigError, match="pattern and lists must name the same lists"):
        said(choice(clip_folder, weights, pattern=pattern), views)
