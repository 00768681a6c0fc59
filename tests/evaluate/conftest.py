"""A tiny CLIP with both halves and a tiny DINOv2, random, saved as transformers saves them and loaded by the real code."""

import pytest

from stages import plugins
from stages.families.tiny import clip_tokenizer

SIDE = 28  # pixels of their input
LENGTH = 77  # tokens that CLIP reads


@pytest.fixture(scope="session")
def eyes(tmp_path_factory):
    """The folder of each."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, Dinov2Config, Dinov2Model

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sight = {"image_size": SIDE, "patch_size": 7}
    words = clip_tokenizer(["picture"], length=LENGTH)
    text = {"vocab_size": len(words), "eos_token_id": words.eos_token_id, "max_position_embeddings": LENGTH}
    more = {"intermediate_size": 32, "projection_dim": 12}
    halves = {"text_config": shape | text | more, "vision_config": shape | sight | more}
    home = tmp_path_factory.mktemp("eyes")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nets = {
            "clip": CLIPModel(CLIPConfig(**halves, projection_dim=12)),
            "dinov2": Dinov2Model(Dinov2Config(**shape, **sight)),
        }
    crop = {"height": SIDE, "width": SIDE}
    for name, net in nets.items():
        net.save_pretrained(home / name)
        CLIPImageProcessorPil(size={"shortest_edge": SIDE + 4}, crop_size=crop).save_pretrained(home / name)
    words.save_pretrained(home / "clip")
    return {name: home / name for name in nets}


@pytest.fixture
def embedder(eyes):
    """Build the embedder of a name anew, with the tiny model or another folder."""

    def built(name, folder=None):
        weights = {"repo": "nobody/nothing", "revision": "0" * 40, "folder": str(folder or eyes[name])}
        return plugins.build("stages.evaluate.embedders", {"name": name, "weights": weights})

    return built
