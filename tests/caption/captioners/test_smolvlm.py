"""SmolVLM: tiles as transformers' own processor writes them, and without them."""

from types import SimpleNamespace

from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor

from stages import config as settings
from stages.caption import transformer
from stages.caption.captioners.smolvlm import _tiles


def choice(folder, weights, **others):
    values = {"name": "smolvlm", "model": weights(folder), "prompt": "what is in the picture ?"}
    return values | {"max_new_tokens": 5, "beams": 1, "split": True} | others


def test_tiles_are_written_as_transformers_writes_them(smolvlm_folder, weights, photographs):
    model = settings.check(weights(smolvlm_folder), transformer.Model, where="test")
    loaded = transformer.load(model, auto="AutoModelForImageTextToText", kinds=())
    theirs = SimpleNamespace(image_seq_len=4, fake_image_token="<fake_token_around_image>", image_token="<image>")
    theirs.global_image_token = "<global-img>"
    low = photographs[0][:20]  # one row of tiles, where the others have two
    pictures = [[each] for each in transformer.pictures([*photographs[:2], low])]
    for split in (True, False):
        seen = loaded.images(pictures, do_image_splitting=split, return_row_col_info=True, return_tensors="pt")
        ours = [_tiles(loaded, seen, number) for number in range(3)]
        assert ours == [SmolVLMProcessor.replace_image_token(theirs, seen, number) for number in range(3)]
        assert all(("<row_1_col_1>" in text) == split for text in ours)
        assert [("<row_2_col_1>" in text) for text in ours] == [split, split, False]


def test_without_tiles_it_sees_less_and_says_something_else(smolvlm_folder, weights, said, views):
    assert said(choice(smolvlm_folder, weights, split=False), views) != said(choice(smolvlm_folder, weights), views)


def test_pictures_of_different_shapes_share_a_batch(smolvlm_folder, weights, said, views, empty_cache):
    for split in (True, False):
        three = said(choice(smolvlm_folder, weights, split=split) | {"model": weights(smolvlm_folder, batch=3)}, views)
        empty_cache()
        one = said(choice(smolvlm_folder, weights, split=split) | {"model": weights(smolvlm_folder, batch=1)}, views)
        assert three == one
