"""What was encoded before is found again, to the bit, and only where nothing that it hangs on has changed."""

import shutil

import pytest
import torch

from stages.encode import memory
from stages.encode.memory import fingerprint, remembered, surroundings


def told(found):
    return {name: (each.dtype, each.tolist()) for name, each in found.items()}


THING = {"tokens": torch.arange(12, dtype=torch.float32).reshape(3, 4), "count": torch.tensor(7)}


def refuse():
    raise AssertionError("encoded again")


def test_what_was_made_is_found_again(tmp_path):
    assert told(remembered(tmp_path, "ab12", lambda: THING)) == told(THING)
    assert told(remembered(tmp_path, "ab12", refuse)) == told(THING)
    with pytest.raises(AssertionError, match="encoded again"):
        remembered(tmp_path, "ab13", refuse)


def damaged(content):
    half = len(content) // 2
    return {
        "empty": b"",
        "cut": content[:half],
        "a bit in the tensor": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "a bit in the head": content[:40] + bytes([content[40] ^ 1]) + content[41:],
        "a bit in the sum": bytes([content[0] ^ 1]) + content[1:],
        "other bytes": b"<html>" * 99,
    }


@pytest.mark.parametrize("how", damaged(b"0" * 99))
def test_a_damaged_entry_is_made_again(tmp_path, how):
    remembered(tmp_path, "ab12", lambda: THING)
    file = tmp_path / "ab" / "ab12"
    whole = file.read_bytes()
    file.write_bytes(damaged(whole)[how])
    assert told(remembered(tmp_path, "ab12", lambda: THING)) == told(THING)
    assert file.read_bytes() == whole


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    for part in ("vae", "text_encoder", "text_encoder_2", "tokenizer", "unet", "transformer", "scheduler"):
        (folder / part).mkdir()
        (folder / part / "weights").write_text(part)
    (folder / "model_index.json").write_text("{}")
    return folder


def prints(folder, how=None):
    """Those of latents and of prompts."""
    known = {"family": "tiny", "threads": 1, **surroundings()} if how is None else how
    return tuple(fingerprint(known, folder, without=without) for without in (("text_encoder", "tokenizer"), ("vae",)))


@pytest.mark.parametrize(
    ("part", "latents", "prompts"),
    [
        ("vae", True, False),
        ("text_encoder", False, True),
        ("text_encoder_2", False, True),
        ("tokenizer", False, True),
        ("unet", False, False),
        ("transformer", False, False),
        ("scheduler", True, True),  # nobody knows of what else a family makes its answer
    ],
)
def test_a_changed_part_is_met_by_what_hangs_on_it(base, tmp_path, part, latents, prompts):
    other = shutil.copytree(base, tmp_path / "base")
    (other / part / "weights").write_text("other weights")
    assert [one != another for one, another in zip(prints(base), prints(other), strict=True)] == [latents, prompts]


def test_a_renamed_part_is_another_one(base, tmp_path):
    other = shutil.copytree(base, tmp_path / "base")
    (other / "vae" / "weights").rename(other / "vae" / "weights.old")
    assert prints(base)[0] != prints(other)[0]


def test_the_same_base_elsewhere_is_the_same(base, tmp_path):
    assert prints(base) == prints(shutil.copytree(base, tmp_path / "elsewhere"))


def test_other_settings_have_other_prints(base):
    assert len({prints(base, {"family": "tiny", "threads": threads}) for threads in (1, 2)}) == 2
    assert len({prints(base, {"family": family, "threads": 1}) for family in ("tiny", "sdxl")}) == 2


@pytest.mark.parametrize("library", memory.LIBRARIES)
def test_another_version_of_a_library_has_another_print(base, monkeypatch, library):
    monkeypatch.setattr(memory, "find_spec", lambda _: True)  # bitsandbytes is seldom installed
    monkeypatch.setattr(memory, "version", lambda _: "1.0")
    before = prints(base)
    monkeypatch.setattr(memory, "version", lambda name: "0.0" if name == library else "1.0")
    assert not set(before) & set(prints(base))


@pytest.mark.parametrize("name", memory.CODE)
def test_other_code_of_ours_has_another_print(base, tmp_path, monkeypatch, name):
    import stages

    before, home = prints(base), tmp_path / "stages"
    for each in memory.CODE:
        copy = shutil.copytree if (source := memory.Path(stages.__path__[0]) / each).is_dir() else shutil.copy
        home.mkdir(exist_ok=True)
        copy(source, home / each)
    monkeypatch.setattr(stages, "__path__", [str(home)])
    assert prints(base) == before
    changed = home / name if name.endswith(".py") else home / name / "__init__.py"
    changed.write_text(changed.read_text() + "\n# other code\n")
    assert not set(before) & set(prints(base))


def test_another_processor_has_another_print(base, monkeypatch):
    before = prints(base)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert not set(before) & set(prints(base))
