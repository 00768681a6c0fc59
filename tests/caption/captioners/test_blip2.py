"""BLIP-2: what is put before the words is what transformers' own processor puts there."""

from transformers import Blip2Processor

from stages import config as settings
from stages.caption import transformer
from stages.caption.captioners import blip2


def asked(folder, weights, monkeypatch, photographs, prompt):
    """What goes into the model, and what transformers' processor would put there."""
    seen = {}
    monkeypatch.setattr(transformer, "generate", lambda loaded, inputs, **how: seen.update(inputs) or ["x"])
    values = {"model": weights(folder), "prompt": prompt, "max_new_tokens": 5, "beams": 1}
    blip2._speaker(settings.check(values, blip2.Config, where="test"))(photographs[:1])
    loaded = transformer.load(
        settings.check(weights(folder), transformer.Model, where="test"), auto="Blip2ForConditionalGeneration", kinds=()
    )
    processor = Blip2Processor(loaded.images, loaded.tokenizer, num_query_tokens=3)
    return seen, processor(images=transformer.pictures(photographs[:1]), text=prompt, return_tensors="pt")


def test_a_question_stands_behind_the_queries(blip2_folder, weights, monkeypatch, photographs):
    seen, expected = asked(blip2_folder, weights, monkeypatch, photographs, "what is in the picture ?")
    assert seen["input_ids"].tolist() == expected["input_ids"].tolist()
    assert len(seen["input_ids"][0]) == 3 + 6
    assert seen["pixel_values"].tolist() == expected["pixel_values"].tolist()


def test_another_question_gets_another_answer(blip2_folder, weights, said, views):
    choice = {"name": "blip2", "model": weights(blip2_folder), "max_new_tokens": 5, "beams": 1}
    assert said(choice | {"prompt": "what ?"}, views) != said(choice | {"prompt": "a photo of"}, views)


def test_the_question_is_not_part_of_the_answer(blip2_folder, weights, said, views):
    choice = {"name": "blip2", "model": weights(blip2_folder), "prompt": "sentences caption", "max_new_tokens": 2}
    assert all(len(text.split()) <= 2 and "caption" not in text for text in said(choice | {"beams": 1}, views))
