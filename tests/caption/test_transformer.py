"""Loading without pickle and foreign code, and the memory of what was said."""

import shutil

import pytest
import safetensors.torch
import torch
import transformers

from stages import config as settings
from stages import machine, memory
from stages.caption import transformer
from stages.caption.captioners import tagger
from stages.errors import ConfigError, ModelError

TAGGER = {"name": "tagger", "several": False, "threshold": 0.1, "most": 3}


@pytest.fixture
def choice(classifier_folder, weights):
    return TAGGER | {"model": weights(classifier_folder)}


@pytest.fixture
def asked(monkeypatch):
    """How many pictures each batch held that reached a model."""
    sizes = []
    made = tagger._speaker

    def counted(config):
        speak = made(config)
        return lambda pixels: (sizes.append(len(pixels)), speak(pixels))[1]

    monkeypatch.setattr(tagger, "_speaker", counted)
    return sizes


def model_of(values):
    return settings.check(values, transformer.Model, where="test")


def loaded(folder, weights, **others):
    return transformer.load(model_of(weights(folder, **others)), auto="AutoModelForImageClassification", kinds=())


def kept():
    return sorted((machine.cache("captions")).rglob("??/*"))


# Memory


def test_what_was_said_once_is_not_asked_again(choice, asked, said, views):
    first = said(choice, views)
    assert asked == [2, 1]
    assert said(choice, views) == first
    assert asked == [2, 1]


def test_one_picture_more_costs_one(choice, asked, said, views, view, photographs):
    said(choice, views)
    said(choice, [*views, view(photographs[0][::-1])])
    assert asked == [2, 1, 1]


def test_the_same_picture_twice_is_asked_once(choice, asked, said, views):
    assert len(said(choice, [*views, *views])) == 6
    assert sum(asked) == 3


@pytest.mark.parametrize(
    "change", [{"threshold": 0.2}, {"most": 1}, {"several": True}, {"dtype": "bfloat16"}, {"batch": 1}]
)
def test_another_setting_never_meets_what_was_kept(change, choice, asked, said, views):
    said(choice, views)
    other = {key: value for key, value in change.items() if key in TAGGER}
    model = {key: value for key, value in change.items() if key not in TAGGER}
    said(choice | other | {"model": choice["model"] | model}, views)
    assert sum(asked) == 6


def test_other_weights_never_meet_what_was_kept(choice, asked, said, views, weights, changed, classifier_folder):
    said(choice, views)
    said(choice | {"model": weights(changed(classifier_folder, hidden_dropout_prob=0.5))}, views)
    assert sum(asked) == 6


def test_the_same_weights_elsewhere_do(choice, asked, said, views, weights, classifier_folder, tmp_path):
    said(choice, views)
    shutil.copytree(classifier_folder, tmp_path / "copy")
    said(choice | {"model": weights(tmp_path / "copy")}, views)
    assert sum(asked) == 3


def test_other_code_or_another_library_never_meets_what_was_kept(choice, monkeypatch):
    values = {key: value for key, value in choice.items() if key != "name"}
    config = settings.check(values, tagger.Config, where="test")
    first = transformer.fingerprint(tagger.__name__, config, "m")
    assert transformer.fingerprint(tagger.__name__, config, "other") != first
    monkeypatch.setattr(transformer, "getsource", lambda module: "answer = 42  # a comment")
    other = transformer.fingerprint(tagger.__name__, config, "m")
    assert other != first
    monkeypatch.setattr(transformer, "getsource", lambda module: "answer  =  42")
    assert transformer.fingerprint(tagger.__name__, config, "m") == other
    monkeypatch.setattr(transformer, "version", lambda name: "99")
    assert transformer.fingerprint(tagger.__name__, config, "m") != other


def test_the_code_that_counts_is_the_parts_and_what_it_speaks_through():
    names = [module.__name__ for module in transformer._modules("stages.caption.captioners.qwen_vl")]
    assert names == ["stages.caption.captioners.qwen_vl", "stages.caption.chat", "stages.caption.transformer"]


def test_killed_midway_it_goes_on(choice, asked, said, views, monkeypatch):
    whole = tagger._speaker

    def killed(config):
        speak = whole(config)
        return lambda pixels: speak(pixels) if len(pixels) == 2 else (_ for _ in ()).throw(KeyboardInterrupt)

    monkeypatch.setattr(tagger, "_speaker", killed)
    with pytest.raises(KeyboardInterrupt):
        said(choice, views)
    assert len(kept()) == 2
    monkeypatch.setattr(tagger, "_speaker", whole)
    assert len(said(choice, views)) == 3
    assert asked == [2, 1]


@pytest.mark.parametrize("damage", [b"", b"{", b"x" * 99])
def test_a_damaged_memory_is_no_memory(damage, choice, asked, said, views):
    first = said(choice, views)
    kept()[0].write_bytes(damage)
    assert said(choice, views) == first
    assert sum(asked) == 4


def test_silence_is_remembered_too(choice, asked, said, views):
    silent = choice | {"threshold": 1.0}
    assert said(silent, views) == said(silent, views) == [""] * 3
    assert sum(asked) == 3


def test_without_a_new_picture_nothing_is_loaded(choice, said, views, monkeypatch):
    said(choice, views)
    monkeypatch.setattr(transformer, "load", None)
    assert len(said(choice, views)) == 3


# Loading


def test_pickled_weights_are_never_read(classifier_folder, weights, changed):
    folder = changed(classifier_folder)
    (folder / "model.safetensors").unlink()
    net = loaded(classifier_folder, weights).model
    torch.save(net.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no model that can be loaded"):
        loaded(folder, weights)


def test_foreign_code_is_never_run(classifier_folder, weights, changed, tmp_path):
    names = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Model"}
    folder = changed(classifier_folder, model_type="evil", auto_map=names)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match="no model that can be loaded"):
        loaded(folder, weights)
    assert not (tmp_path / "ran").exists()


def test_the_pil_image_processor_is_asked_for_whatever_else_is_installed(classifier_folder, weights, monkeypatch):
    asked = []
    real = transformers.AutoImageProcessor.from_pretrained

    def seen(folder, **how):
        asked.append(how)
        return real(folder, **how)

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", seen)
    loaded(classifier_folder, weights)
    assert asked == [{"backend": "pil", "local_files_only": True, "trust_remote_code": False}]


def test_dtype_and_device_are_as_told(classifier_folder, weights):
    net = loaded(classifier_folder, weights, dtype="bfloat16").model
    assert (net.dtype, net.device.type, net.training) == (torch.bfloat16, machine.device(), False)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_torch_computes_with_as_many_threads_as_told(classifier_folder, weights):
    loaded(classifier_folder, weights, threads=2)
    assert torch.get_num_threads() == 2
    loaded(classifier_folder, weights, threads=1)
    assert torch.get_num_threads() == 1


def test_a_folder_without_a_model_is_refused(weights, tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json; give the folder of someone/model"):
        loaded(tmp_path, weights)


def test_a_damaged_configuration_is_refused(weights, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is no configuration"):
        loaded(tmp_path, weights)


def test_damaged_weights_are_refused(classifier_folder, weights, changed):
    folder = changed(classifier_folder)
    (folder / "model.safetensors").write_bytes(b"x" * 99)
    with pytest.raises(ModelError, match="no model that can be loaded"):
        loaded(folder, weights)


def test_weights_that_are_not_there_are_never_drawn_at_random(classifier_folder, weights, changed):
    folder = changed(classifier_folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights, such as classifier\.weight"):
        loaded(folder, weights)


@pytest.mark.parametrize("change", [{"revision": "main"}, {"repo": "a model"}, {"batch": 0}, {"dtype": "int8"}])
def test_what_would_not_always_be_the_same_model_is_refused(change, weights):
    with pytest.raises(ConfigError, match=next(iter(change))):
        model_of(weights(**change))


# Tokens


def test_tokens_are_counted_without_the_two_marks(clip_folder):
    count = transformer.token_counter(clip_folder)
    assert [count(text) for text in ("", "a cat", "a cat and a dog ?")] == [0, 2, 6]


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no tokenizer; set caption\.tokenizer"):
        transformer.token_counter(tmp_path)


def test_the_words_are_kept_by_the_digest_of_the_pixels(choice, said, views):
    [text] = said(choice, views[:1])
    digest = views[0].digest()
    [file] = kept()
    assert (file.name, file.parent.name) == (digest, digest[:2])
    assert memory.recalled(file) == text.encode()
