"""GLM-4V: what of its thinking is the answer, and that its newer kind is read, too."""

import pytest

from stages.caption import chat
from stages.caption.captioners.glm4v import answer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a cat", "a cat"),
        ("<think>a dog? no</think><answer>a cat</answer>", "a cat"),
        ("<think></think>\n<|begin_of_box|>a cat<|end_of_box|>", "a cat"),
        ("it began before </think> a cat", "a cat"),
        ("<think>and so it went on", ""),
        ("", ""),
    ],
)
def test_only_what_comes_after_thinking_is_said(text, said):
    assert answer(text) == said


def test_what_the_model_thought_is_no_caption(glm4v_folder, weights, said, views, monkeypatch):
    monkeypatch.setattr(chat, "speaker", lambda *_, **__: lambda pixels: ["<think>hm</think> a cat"] * len(pixels))
    choice = {"name": "glm4v", "model": weights(glm4v_folder), "max_new_tokens": 5, "beams": 1, "max_pixels": 0}
    assert said(choice | {"prompt": "what ?"}, views) == ["a cat"] * 3


def test_another_question_gets_another_answer(glm4v_folder, weights, said, views):
    choice = {"name": "glm4v", "model": weights(glm4v_folder), "max_new_tokens": 5, "beams": 1, "max_pixels": 0}
    assert said(choice | {"prompt": "what ?"}, views) != said(choice | {"prompt": "a photo of"}, views)
