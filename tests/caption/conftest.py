"""Items, views of real pictures, and tiny models of every architecture: random weights, real code."""

import json
import shutil

import pytest

from stages import plugins, specimens
from stages.caption.captioners import View
from stages.images import encode_png
from stages.records import Item
from stages.shards import Place

PLACE = Place(shard="s", offset=0, size=1)
TEXT = """\
a photo of cat dog coins grass wall red green blue small old in the on with and is what image picture describe
detail shown paragraph does one two plain sentences caption ? . ,"""
WORDS = TEXT.split()


@pytest.fixture(scope="session")
def item():
    """Makes an ``Item``; give what its source said of it."""

    def make(id="a", **others):
        said = {"url": "https://a.test/a.png", "page": "https://a.test/", "kind": "image", "alt": "", "title": ""}
        said |= {"author": "", "credit": "", "licence": "CC0-1.0", "licence_evidence": (), "signals": ()}
        return Item(id=id, **(said | {"consent": "", "group": "", "place": PLACE} | others))

    return make


@pytest.fixture(scope="session")
def view(item):
    """Makes a ``View`` of pixels; without them one that must not be read."""

    def make(pixels=None, **said):
        def read():
            assert pixels is not None, "this captioner needs no pixels"
            return encode_png(pixels)

        return View(item=item(**said), read=read)

    return make


@pytest.fixture(scope="session")
def weights():
    """Makes the settings of a model in a folder."""

    def make(folder="", **others):
        values = {"repo": "someone/model", "revision": "0" * 40, "folder": str(folder), "dtype": "float32"}
        return values | {"batch": 2, "threads": 1} | others

    return make


@pytest.fixture
def said():
    """Asks the captioner of settings about views; gives the texts of those that it chose."""

    def ask(choice, views):
        return [told[0].text for told in plugins.build("stages.caption.captioners", choice)(views)]

    return ask


@pytest.fixture
def empty_cache(tmp_path_factory, monkeypatch):
    """Empties the cache when it is called."""
    return lambda: monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def changed(tmp_path):
    """Makes a copy of a model's folder in which a JSON file holds other values."""

    def change(folder, file="config.json", **values):
        target = tmp_path / "changed"
        shutil.copytree(folder, target)
        (target / file).write_text(json.dumps(json.loads((target / file).read_text()) | values))
        return target

    return change


@pytest.fixture(scope="session")
def photographs():
    """Three crops of real photographs, of different shapes."""
    crops = {"astronaut": (60, 0, 156, 112), "coffee": (100, 100, 180, 180), "coins": (10, 20, 140, 90)}
    return [specimens.crop(specimens.photograph(name), box) for name, box in crops.items()]


@pytest.fixture
def views(photographs, view):
    """A view of each of ``photographs``."""
    return [view(pixels) for pixels in photographs]


def tokenizer(*special, template=None, marked=False, **roles):
    """A tokenizer of whole words; ``special`` tokens are never split, ``marked`` texts have two around them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<pad>", "<s>", "</s>", "<unk>", *special, *WORDS]
    inner = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    inner.decoder = decoders.WordPiece(prefix="##")
    if marked:
        ends = [("<s>", 1), ("</s>", 2)]
        inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | roles
    words = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **marks)
    words.add_special_tokens({"additional_special_tokens": list(special)})
    words.chat_template = template
    return words, {token: number for number, token in enumerate(tokens)}


def save(folder, model, images, words=None):
    """Put a tiny model where ``transformer.load`` finds it, always with the same weights."""
    import torch

    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            if parameter.ndim > 1:  # norms stay as they are made
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.6)
    model.save_pretrained(folder)
    if images is not None:
        images.save_pretrained(folder)
    if words is not None:
        words.save_pretrained(folder)
    return folder


def chat(picture):
    """A chat template that shows pictures as ``picture``."""
    return (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + picture + "{% else %} {{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}{% if add_generation_prompt %} .{% endif %}"
    )


@pytest.fixture(scope="session")
def blip2_folder(tmp_path_factory):
    from transformers import Blip2Config, Blip2ForConditionalGeneration, BlipImageProcessorPil

    words, ids = tokenizer("<image>")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"word_embed_proj_dim": 16, "vocab_size": len(ids), "max_position_embeddings": 128}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = Blip2Config(
        vision_config=small | {"image_size": 32, "patch_size": 16},
        qformer_config=small | {"encoder_hidden_size": 16, "vocab_size": len(ids)},
        text_config=text,
        num_query_tokens=3,
        image_token_index=ids["<image>"],
    )
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    return save(tmp_path_factory.mktemp("blip2"), Blip2ForConditionalGeneration(config), images, words)


@pytest.fixture(scope="session")
def florence2_folder(tmp_path_factory):
    from transformers import CLIPImageProcessorPil, Florence2Config, Florence2ForConditionalGeneration

    words, ids = tokenizer("<image>", image_token="<image>", marked=True)
    eye = {"depths": (1, 1), "patch_size": (7, 3), "patch_stride": (4, 2), "patch_padding": (3, 1)}
    eye |= {"patch_prenorm": (False, True), "embed_dim": (8, 16), "num_heads": (2, 2), "num_groups": (2, 2)}
    eye |= {"window_size": 4, "projection_dim": 16}
    text = {"model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": len(ids)}
    text |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text |= {"forced_eos_token_id": None}
    config = Florence2Config(
        vision_config=eye, text_config=text, image_token_id=ids["<image>"], is_encoder_decoder=True
    )
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False, image_seq_length=17)
    return save(tmp_path_factory.mktemp("florence2"), Florence2ForConditionalGeneration(config), images, words)


def grid_text(ids):
    text = {"vocab_size": len(ids), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "head_dim": 8}
    return text | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}


QWEN = ("<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>")


def grid_ids(ids, start, picture, video, end):
    found = {"image_token_id": ids[picture], "video_token_id": ids[video]}
    return found | {"vision_start_token_id": ids[start], "vision_end_token_id": ids[end]}


@pytest.fixture(scope="session")
def qwen25_folder(tmp_path_factory):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

    words, ids = tokenizer(*QWEN, template=chat("<|vision_start|><|image_pad|><|vision_end|>"))
    eye = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    eye |= {"patch_size": 8, "window_size": 32, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(vision_config=eye, text_config=grid_text(ids), **grid_ids(ids, *QWEN))
    images = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 256, "longest_edge": 4096})
    return save(tmp_path_factory.mktemp("qwen25"), Qwen2_5_VLForConditionalGeneration(config), images, words)


@pytest.fixture(scope="session")
def qwen3_folder(tmp_path_factory):
    from transformers import Qwen2VLImageProcessorPil, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    words, ids = tokenizer(*QWEN, template=chat("<|vision_start|><|image_pad|><|vision_end|>"))
    eye = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    eye |= {"patch_size": 8, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    config = Qwen3VLConfig(vision_config=eye, text_config=grid_text(ids), **grid_ids(ids, *QWEN))
    images = Qwen2VLImageProcessorPil(patch_size=8, size={"shortest_edge": 256, "longest_edge": 4096})
    return save(tmp_path_factory.mktemp("qwen3"), Qwen3VLForConditionalGeneration(config), images, words)


GLM = ("<|begin_of_image|>", "<|image|>", "<|video|>", "<|end_of_image|>")


@pytest.fixture(scope="session")
def glm4v_folder(tmp_path_factory):
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration, Glm4vImageProcessorPil

    words, ids = tokenizer(*GLM, template=chat("<|begin_of_image|><|image|><|end_of_image|>"))
    eye = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    eye |= {"patch_size": 8, "image_size": 64}
    known = {"image_token_id": ids["<|image|>"], "video_token_id": ids["<|video|>"]}
    known |= {"image_start_token_id": ids["<|begin_of_image|>"], "image_end_token_id": ids["<|end_of_image|>"]}
    config = Glm4vConfig(vision_config=eye, text_config=grid_text(ids), **known)
    images = Glm4vImageProcessorPil(patch_size=8, size={"shortest_edge": 512, "longest_edge": 8192})
    return save(tmp_path_factory.mktemp("glm4v"), Glm4vForConditionalGeneration(config), images, words)


@pytest.fixture(scope="session")
def smolvlm_folder(tmp_path_factory):
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMImageProcessorPil

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    words, ids = tokenizer("<fake_token_around_image>", "<image>", "<global-img>", *tiles, template=chat("<image>"))
    eye = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"model_type": "llama", **grid_text(ids)}
    del text["rope_parameters"]
    config = SmolVLMConfig(
        vision_config=eye | {"image_size": 32, "patch_size": 8},
        text_config=text,
        image_token_id=ids["<image>"],
        scale_factor=2,
        pad_token_id=0,
    )
    images = SmolVLMImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return save(tmp_path_factory.mktemp("smolvlm"), SmolVLMForConditionalGeneration(config), images, words)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    words, ids = tokenizer(marked=True)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config=small | {"image_size": 32, "patch_size": 16},
        text_config=small
        | {
            "vocab_size": len(ids),
            "max_position_embeddings": 64,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        projection_dim=8,
    )
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=size)
    return save(tmp_path_factory.mktemp("clip"), CLIPModel(config), images, words)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    labels = {0: "tabby_cat, tabby", 1: "coin", 2: "grass", 3: "wall"}
    config = ViTConfig(**small, image_size=32, patch_size=16, id2label=labels)
    images = ViTImageProcessorPil(size={"height": 32, "width": 32})
    return save(tmp_path_factory.mktemp("classifier"), ViTForImageClassification(config), images)


@pytest.fixture(scope="session")
def namer_folder(tmp_path_factory):
    from transformers import BertConfig, BertForTokenClassification

    words, ids = tokenizer(marked=True)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    labels = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
    config = BertConfig(**small, vocab_size=len(ids), max_position_embeddings=64, pad_token_id=0, id2label=labels)
    return save(tmp_path_factory.mktemp("namer"), BertForTokenClassification(config), None, words)
