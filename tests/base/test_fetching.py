"""What is fetched of a hub: a little server that answers as the Hugging Face hub does."""

import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from stages.base import fetching
from stages.base.folders import Wanted
from stages.errors import ModelError

REPO, REVISION = "someone/model", "0" * 40
WANTED = Wanted(parts=("vae", "text_encoder", "tokenizer", "unet", "scheduler"), variant="")


def listing(folder):
    """A tree as the hub's API gives it: large files by their SHA-256."""
    rows = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        row = {"type": "file", "path": file.relative_to(folder).as_posix(), "size": len(content)}
        row["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if file.suffix == ".safetensors":
            row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        rows.append(row)
    return rows


@contextmanager
def serving(folder, hub):
    """Serve ``folder`` as ``hub`` says: refuse with its status, cut or change what is sent; count what is asked for."""
    tree = listing(folder)
    rows = {row["path"]: row for row in tree}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            hub.asked.append(self.requestline)
            if f"/{REPO}/tree/" in self.path:
                return self.send(*hub.tree, json.dumps(tree).encode(), {"Content-Type": "application/json"}, body)
            row = rows[re.search(r"/resolve/[^/]+/([^?]+)", self.path)[1]]
            content = hub.sent(row["path"], (folder / row["path"]).read_bytes())
            etag = row["lfs"]["oid"] if "lfs" in row else row["oid"]
            named = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
            begin = int(re.search(r"\d+", self.headers.get("Range", "bytes=0-"))[0])
            status, code = hub.file
            named["Content-Length"] = str(row["size"] - begin)
            return self.send(206 if begin and status == 200 else status, code, content[begin:], named, body)

        def send(self, status, code, content, headers, body):
            content = b"" if status >= 400 else content
            headers = headers | ({"X-Error-Code": code, "Content-Length": "0"} if status >= 400 else {})
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content)), "Connection": "close"} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(tmp_path, tiny_base, monkeypatch):
    """A hub that has ``tiny_base``; a test changes how it answers."""
    answers = SimpleNamespace(tree=(200, ""), file=(200, ""), sent=lambda _name, content: content, asked=[])
    for name, value in (
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_CACHE", str(tmp_path / "hub")),
        ("HF_HUB_DISABLE_XET", True),
    ):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    huggingface_hub.utils.disable_progress_bars()
    with serving(tiny_base, answers) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        yield answers


def snapshot(tmp_path):
    return fetching.snapshot(REPO, REVISION, WANTED, tmp_path / "out")


def test_what_was_fetched_once_is_there_without_a_network(tmp_path, tiny_base, hub, monkeypatch):
    folder, files = snapshot(tmp_path)
    assert {(folder / name).read_bytes() for name in files} == {(tiny_base / name).read_bytes() for name in files}
    assert "unet/diffusion_pytorch_model.safetensors" in files
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert snapshot(tmp_path) == (folder, files)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("answers", "token", "message"),
    [
        ({"file": (401, "GatedRepo")}, "", f"is gated; accept its licence at https://huggingface.co/{REPO}, and give"),
        ({"file": (403, "GatedRepo")}, "hf_x", "the token in HF_TOKEN may not read it; accept its licence at https://"),
        ({"tree": (401, "RepoNotFound")}, "", "there is no such model, or it is private"),
        ({"tree": (404, "RepoNotFound")}, "hf_x", "there is no such model, or it is private"),
        ({"tree": (401, "")}, "hf_x", "the hub does not take the token in HF_TOKEN"),
        ({"tree": (404, "RevisionNotFound")}, "", f"has no revision {REVISION}; set family.origin.revision"),
    ],
)
def test_the_message_says_what_the_hub_wants(tmp_path, hub, monkeypatch, answers, token, message):
    vars(hub).update(answers)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelError, match=f"^{REPO}: .*{re.escape(message)}"):
        snapshot(tmp_path)


def test_offline_with_nothing_fetched_it_says_what_to_do(tmp_path, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"run once with HF_HUB_OFFLINE=0, or set family\.origin\.folder"):
        snapshot(tmp_path)


def test_what_was_changed_on_its_way_is_refused_and_fetched_anew(tmp_path, hub):
    hub.sent = lambda _name, content: content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ModelError, match=r"safetensors was damaged on its way: its SHA-256 is [0-9a-f]{64}, not"):
        snapshot(tmp_path)
    hub.sent = lambda _name, content: content
    shutil.rmtree(tmp_path / "hub")
    snapshot(tmp_path)


def test_a_download_that_broke_off_goes_on_where_it_stopped(tmp_path, tiny_base, hub):
    name = "unet/diffusion_pytorch_model.safetensors"
    hub.sent = lambda path, content: content[: len(content) // 2] if path == name else content
    with pytest.raises(ModelError, match=r"could not be fetched .* it goes on where it stopped"):
        snapshot(tmp_path)
    hub.sent = lambda _path, content: content
    folder, _ = snapshot(tmp_path)
    assert (folder / name).read_bytes() == (tiny_base / name).read_bytes()


def test_too_small_a_disk_is_seen_before_anything_is_fetched(tmp_path, hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ModelError, match=rf"^{REPO}: needs 0\.0 GB in .* where 0\.0 GB are free; make room"):
        snapshot(tmp_path)
    assert not [line for line in hub.asked if line.startswith("GET") and "/resolve/" in line]
