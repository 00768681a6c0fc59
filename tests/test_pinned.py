"""Models are had at a pinned revision or from a folder, and each closed door is told with its key."""

from types import SimpleNamespace

import pytest

from stages import pinned
from stages.errors import ModelError


def model(folder=""):
    return SimpleNamespace(repo="someone/model", revision="0" * 40, folder=str(folder))


@pytest.fixture
def local(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "model.safetensors").write_bytes(b"1")
    return tmp_path


@pytest.fixture
def hub(monkeypatch):
    """Let the hub answer with a path, or raise; gives what it was asked."""
    import huggingface_hub

    asked = []

    def answer(what):
        def snapshot(repo, **how):
            asked.append((repo, how))
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
        return asked

    return answer


def test_a_model_of_the_hub_is_known_by_its_revision():
    assert pinned.identity(model()) == f"someone/model@{'0' * 40}"


@pytest.mark.parametrize("change", ["part/model.safetensors", "vocab.txt", "part/more.json"])
def test_a_folders_identity_changes_with_any_file(change, local):
    first = pinned.identity(model(local))
    assert first.startswith("sha256:")
    assert pinned.identity(model(local)) == first
    (local / change).write_bytes(b"2")
    assert pinned.identity(model(local)) != first


def test_a_folder_is_taken_and_the_hub_not_asked(local, hub):
    asked = hub("/nowhere")
    assert pinned.found(model(local), where="x") == local
    assert asked == []


def test_a_folder_without_a_model_is_refused(tmp_path):
    for ask in (pinned.identity, lambda one: pinned.found(one, where="x")):
        with pytest.raises(ModelError, match=r"holds no config\.json; give the folder of someone/model, or none"):
            ask(model(tmp_path))


def test_the_hub_is_asked_for_the_revision_and_for_harmless_files_only(hub):
    asked = hub("/hub/model")
    assert str(pinned.found(model(), where="x")) == "/hub/model"
    wanted = {"allow_patterns": list(pinned.HARMLESS), "ignore_patterns": None}
    assert asked == [("someone/model", {"revision": "0" * 40, **wanted})]
    assert not any(name.endswith((".bin", ".py", ".pt", ".ckpt", ".pkl", "*")) for name in pinned.HARMLESS)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "someone/model: is gated; accept its licence"),
        ("RepositoryNotFoundError", "there is no such model, or it is private; set repo in my settings"),
        (
            "LocalEntryNotFoundError",
            r"could not be fetched \(HF_HUB_OFFLINE is set\): LocalEntry.*set folder in my settings",
        ),
        ("OSError", "run once with HF_HUB_OFFLINE=0"),
    ],
)
def test_a_closed_door_is_told_with_its_key(error, message, hub):
    import huggingface_hub
    import requests

    made = {
        "OSError": lambda: OSError("no"),
        "LocalEntryNotFoundError": lambda: huggingface_hub.errors.LocalEntryNotFoundError("no"),
    }
    hub(made.get(error, lambda: getattr(huggingface_hub.errors, error)("no", response=requests.Response()))())
    with pytest.raises(ModelError, match=message):
        pinned.fetched(model(), ["*.json"], where="my settings")
