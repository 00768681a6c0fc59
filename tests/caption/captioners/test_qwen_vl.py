"""Qwen's models: how many cells stand for a picture, and what is refused."""

from types import SimpleNamespace

import pytest
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor

from stages import config as settings
from stages.caption import chat, transformer
from stages.errors import ModelError

CELL = "<|image_pad|>"


def choice(folder, weights, **others):
    values = {"name": "qwen_vl", "model": weights(folder), "prompt": "what is in the picture ?"}
    return values | {"max_new_tokens": 5, "beams": 1, "max_pixels": 0} | others


def loaded_from(folder, weights):
    model = settings.check(weights(folder), transformer.Model, where="test")
    return transformer.load(model, auto="AutoModelForImageTextToText", kinds=())


def test_a_picture_gets_as_many_cells_as_transformers_gives_it(qwen25_folder, weights, photographs):
    loaded = loaded_from(qwen25_folder, weights)
    seen = loaded.images(images=transformer.pictures(photographs), return_tensors="pt")
    theirs = SimpleNamespace(image_processor=loaded.images, image_token=CELL)
    for number in range(len(photographs)):
        expected = Qwen2_5_VLProcessor.replace_image_token(theirs, seen, number)
        assert chat.cells(CELL)(loaded, seen, number) == expected
        assert expected.count(CELL) > 1


@pytest.mark.parametrize("tiny", ["qwen25_folder", "qwen3_folder"])
def test_the_model_is_told_which_tokens_are_cells(tiny, request, weights, photographs, monkeypatch):
    seen = {}
    monkeypatch.setattr(transformer, "generate", lambda loaded, inputs, **how: seen.update(inputs) or ["x"] * 3)
    values = choice(request.getfixturevalue(tiny), weights)
    del values["name"]
    config = settings.check(values, chat.Config, where="test")
    chat.speaker(config, kinds=(), placeholder=CELL, expand=chat.cells(CELL))(photographs)
    loaded = loaded_from(request.getfixturevalue(tiny), weights)
    cells = seen["input_ids"] == loaded.tokenizer.convert_tokens_to_ids(CELL)
    assert seen["mm_token_type_ids"].bool().equal(cells)
    assert cells.sum(dim=1).tolist() == [int(grid.prod()) // 4 for grid in seen["image_grid_thw"]]
    assert len(set(cells.sum(dim=1).tolist())) > 1


def test_fewer_pixels_are_fewer_cells_and_other_words(qwen3_folder, weights, said, views):
    assert said(choice(qwen3_folder, weights, max_pixels=512), views) != said(choice(qwen3_folder, weights), views)


def test_another_question_gets_another_answer(qwen3_folder, weights, said, views):
    assert said(choice(qwen3_folder, weights, prompt="wall"), views) != said(choice(qwen3_folder, weights), views)


@pytest.mark.parametrize("kind", ["Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast"])
def test_a_model_saved_for_torchvision_is_read_with_pillow(kind, qwen3_folder, weights, said, views, changed):
    folder = changed(qwen3_folder, "preprocessor_config.json", image_processor_type=kind)
    assert said(choice(folder, weights), views) == said(choice(qwen3_folder, weights), views)
    assert type(loaded_from(folder, weights).images).__name__ == "Qwen2VLImageProcessorPil"


def test_the_processors_own_template_comes_first(qwen3_folder, weights, said, views, tmp_path, changed):
    folder = changed(qwen3_folder)
    (folder / "chat_template.json").write_text('{"chat_template": "<|image_pad|> wall wall"}')
    assert said(choice(folder, weights), views) != said(choice(qwen3_folder, weights), views)


def test_a_template_that_shows_no_picture_is_refused(qwen3_folder, weights, said, views, changed):
    folder = changed(qwen3_folder)
    (folder / "chat_template.json").write_text('{"chat_template": "wall"}')
    with pytest.raises(ModelError, match=r"does not show a picture as <\|image_pad\|>"):
        said(choice(folder, weights), views)


def test_a_model_without_a_template_is_refused(qwen3_folder, weights, said, views, changed):
    folder = changed(qwen3_folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="has no chat template"):
        said(choice(folder, weights), views)


def test_a_model_of_another_kind_is_refused(smolvlm_folder, weights, said, views):
    with pytest.raises(ModelError, match=r"of type 'smolvlm'; this captioner speaks with: qwen2_vl"):
        said(choice(smolvlm_folder, weights), views)
