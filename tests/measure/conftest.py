"""Tiny models with random weights, saved as transformers saves them and loaded by the real code."""

import pytest

SIDE = 28  # pixels of their input
WIDTH = 16


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A CLIP, a DINOv2 and a classifier of the labels normal and nsfw, each in a folder of its own."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
        Dinov2Config,
        Dinov2Model,
        ViTConfig,
        ViTForImageClassification,
    )

    shape = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 7,
    }
    labels = {"id2label": {0: "normal", 1: "nsfw"}, "label2id": {"normal": 0, "nsfw": 1}}
    home = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nets = {
            "clip": CLIPVisionModelWithProjection(CLIPVisionConfig(**shape, intermediate_size=32, projection_dim=12)),
            "dinov2": Dinov2Model(Dinov2Config(**shape)),
            "labelled": ViTForImageClassification(ViTConfig(**shape, intermediate_size=32, **labels)),
        }
    eyes = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_convert_rgb=True
    )
    for name, net in nets.items():
        net.save_pretrained(home / name)
        eyes.save_pretrained(home / name)
    return {name: home / name for name in nets}


@pytest.fixture(scope="session")
def choice(folders):
    """What conf/ says of the tiny model of a name."""

    def chosen(name, **more):
        weights = {"repo": "nobody/nothing", "revision": "0" * 40, "folder": str(folders[name])}
        return {"name": name, "weights": weights, **more}

    return chosen
