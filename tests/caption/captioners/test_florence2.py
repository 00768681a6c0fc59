"""Florence-2: the tasks as transformers' own processor writes them, and how much is said."""

import pytest
from transformers import Florence2Processor

from stages import config as settings
from stages.caption import transformer
from stages.caption.captioners import florence2

TASKS = {"sentence": "<CAPTION>", "sentences": "<DETAILED_CAPTION>", "paragraph": "<MORE_DETAILED_CAPTION>"}


def values(folder, weights, **others):
    return {"model": weights(folder), "detail": "sentence", "max_new_tokens": 5, "beams": 1} | others


@pytest.mark.parametrize("detail", TASKS)
def test_a_task_is_asked_as_the_processor_asks_it(detail, florence2_folder, weights, monkeypatch, photographs):
    seen = {}
    monkeypatch.setattr(transformer, "generate", lambda loaded, inputs, **how: seen.update(inputs) or ["x"])
    config = settings.check(values(florence2_folder, weights, detail=detail), florence2.Config, where="test")
    florence2._speaker(config)(photographs[:1])
    loaded = transformer.load(config.model, auto="Florence2ForConditionalGeneration", kinds=())
    processor = Florence2Processor(loaded.images, loaded.tokenizer)
    expected = processor(images=transformer.pictures(photographs[:1]), text=TASKS[detail], return_tensors="pt")
    assert seen["input_ids"].tolist() == expected["input_ids"].tolist()
    assert seen["pixel_values"].tolist() == expected["pixel_values"].tolist()


def test_every_task_is_tried():
    assert set(florence2.TASKS) == set(TASKS)


def test_another_task_gets_another_answer(florence2_folder, weights, said, views):
    answers = [
        tuple(said({"name": "florence2"} | values(florence2_folder, weights, detail=detail), views)) for detail in TASKS
    ]
    assert len(set(answers)) > 1


def test_no_more_is_said_than_allowed(florence2_folder, weights, said, views):
    texts = said({"name": "florence2"} | values(florence2_folder, weights, max_new_tokens=1), views)
    assert all(len(text.split()) <= 1 for text in texts)
