"""What all tests share: no test reaches a hub, a store or a cache outside its own folder.

``tiny_*`` is one small run, made once in a session: an untrained base of 16 pixels, twelve pictures, and what each
later stage leaves of them.
"""

import hashlib
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DVC_NO_ANALYTICS"] = "true"
os.environ["DARKROOM_LIVE"] = "0"  # MLflow takes seconds to import
os.environ["OMP_NUM_THREADS"] = "1"  # for arrays this small a second thread only waits
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

settings.register_profile("darkroom", deadline=None, derandomize=True)  # no test depends on speed or luck
settings.load_profile("darkroom")

WORDS = ("a", "photo", "of", "coins", "grass", "cat", "wall")
SIDE = 16  # pixels
TARGETS = ("to_q", "to_k", "to_v", "conv1")


def pytest_collection_modifyitems(items):
    """Begin with what takes long, so that workers end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Give every test a cache folder of its own."""
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("DARKROOM_DEVICE", "cpu")
    monkeypatch.delenv("DARKROOM_ENGINE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """What ``own_cache`` is for a test, for what is made once: it must not write into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_CACHE", str(tmp_path_factory.mktemp("session-cache")))
        patch.setenv("DARKROOM_DEVICE", "cpu")
        yield


CLUSTER = """
import sys
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=node)
cluster.add_node(**node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The address of a Ray cluster of two nodes, each of one core, on this machine."""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield address
        process.communicate()


@pytest.fixture(scope="session")
def tiny_shape():
    """The smallest shape that has every kind of layer."""
    from stages.families.tiny import Shape

    return Shape(
        resolution=SIDE,
        autoencoder_channels=(8, 8),
        denoiser_channels=(8, 16),
        text_width=16,
        text_layers=1,
        text_length=8,
    )


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory, tiny_shape):
    """A diffusers folder with random weights, always the same."""
    import torch

    from stages.families.tiny import untrained

    folder = tmp_path_factory.mktemp("tiny") / "base"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained(tiny_shape, WORDS).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def family_bases(tmp_path_factory, tiny_base):
    """A diffusers folder with random weights for every family, by its name."""
    from stages.base.origins import untrained

    folders = {"sd15": tiny_base, "tiny": tiny_base}
    for name in ("flux", "sd35", "sdxl"):
        folders[name] = tmp_path_factory.mktemp("bases") / name
        origin = untrained.build(untrained.Config(family=name, seed=0))
        origin(folders[name], folders[name], train=False)
    return folders


@pytest.fixture(scope="session")
def tiny_samples():
    """Seven pictures of the subject and five of the prior, some held out, as (sample without its place, PNG)."""
    from stages.images import encode_png

    roles = [("subject", "train", "coins")] * 4 + [("subject", "heldout", "coins")] * 3
    roles += [("prior", "train", "grass")] * 3 + [("prior", "heldout", "grass")] * 2
    rows = []
    for number, (role, split, word) in enumerate(roles):
        frame = hashlib.sha256(f"picture {number}".encode()).hexdigest()
        colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        png = encode_png(cv2.resize(colours, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        text = f"a photo of {word}" if number % 2 else f"a {word} wall"
        values = {"id": f"{frame}-00", "frame": frame, "variant": 0, "text": text, "role": role, "split": split}
        sizes = {"width": SIDE, "height": SIDE, "source_width": SIDE, "source_height": SIDE}
        sizes |= {"crop_left": 0, "crop_top": 0, "digest": hashlib.sha256(png).hexdigest(), "weight": 1.0}
        rows.append(({**values, "group": frame, **sizes}, png))
    return rows


@pytest.fixture(scope="session")
def tiny_prepared(tmp_path_factory, tiny_samples):
    """What prepare would leave of ``tiny_samples``."""
    from stages import shards, tables
    from stages.records import Mask, Sample

    folder = tmp_path_factory.mktemp("tiny") / "prepared"
    tables.write(folder, Mask, [])
    places = shards.write(folder, {values["id"]: png for values, png in tiny_samples}, digits=1)
    tables.write(folder, Sample, [Sample(**values, place=places[values["id"]]) for values, _ in tiny_samples])
    return folder


@pytest.fixture(scope="session")
def tiny_encoded(tmp_path_factory, tiny_base, tiny_prepared, session_cache):
    """What encode leaves of ``tiny_prepared``."""
    from stages.encode import stage

    folder = tmp_path_factory.mktemp("tiny") / "encoded"
    stage.run(
        stage.Config(family="tiny", base_precision="fp32", long_captions="cut", threads=1, shard_digits=1),
        base=tiny_base,
        prepared=tiny_prepared,
        out=folder,
    )
    return folder


@pytest.fixture(scope="session")
def tiny_noise():
    """Min-SNR over uniform levels; give others to change them."""
    from stages.denoising import Weighting
    from stages.train.noise import Levels, Noise

    def noise(*, kind="uniform", weighting="min_snr", offset=0.0, perturbation=0.0):
        levels = Levels(kind=kind, mean=0.0, std=1.0, scale=1.0)
        weighting = Weighting(kind=weighting, gamma=5.0)
        return Noise(levels=levels, weighting=weighting, offset=offset, perturbation=perturbation)

    return noise


@pytest.fixture(scope="session")
def tiny_adapter():
    """A LoRA of rank two on ``TARGETS``; give others to change it, ``kind`` by its name."""
    from stages.adapters import Adapter

    own = {"lokr": {"factor": -1, "decompose_both": False}, "loha": {"effective_conv2d": True}}

    def adapter(*, kind="lora", **others):
        values = {"rank": 2, "alpha": 2.0, "dropout": 0.0, "targets": TARGETS, "text_targets": ()}
        return Adapter(kind={"name": kind, **own.get(kind, {})}, **(values | others))

    return adapter


@pytest.fixture(scope="session")
def tiny_training(tiny_noise):
    """Settings under which twelve steps change every picture; give others to change them."""
    from stages.train.settings import Choice, Optimisation, Samples, Schedule, Trainer
    from stages.train.stage import Config

    def config(**others):
        how = {"clip": 1.0, "caption_dropout": 0.25, "noise": tiny_noise(), "outside_mask": 0.1, "ema_decay": 0.0}
        how |= {name: others.pop(name) for name in list(others) if name in how}
        fall = {"kind": "cosine", "warmup": 2, "floor": 0.02, "cycles": 1, "power": 1.0}
        fall |= {name: others.pop(name) for name in list(others) if name in fall}
        chosen = {"keep": "last", "prior_margin": 1.0, "patience": 0, "min_delta": 0.0}
        chosen |= {name: others.pop(name) for name in list(others) if name in chosen}
        on = {"strategy": "auto", "devices": 1, "num_nodes": 1, "precision": "32-true"}
        on |= {name: others.pop(name) for name in list(others) if name in on}
        seen = {"every": 0, "prompts": (), "seeds": (1, 2), "size": (SIDE, SIDE), "guidance": 2.0}
        seen |= {name: others.pop(name) for name in list(others) if name in seen} | {"steps": 2}
        values = {
            "family": "tiny",
            "adapter": {"name": "lora"},
            "rank": 2,
            "alpha": 4.0,
            "dropout": 0.0,
            "targets": TARGETS,
            "text_targets": (),
            "base_precision": "fp32",
            "steps": 12,
        }
        values |= {
            "batch": 4,
            "prior_share": 0.5,
            "prior_weight": 1.0,
            "trainer": Trainer(**on),
            "samples": Samples(**seen),
            "seed": 3,
            "threads": 1,
        }
        values |= {"curve_every": 5, "checkpoint_every": 4}
        values |= {"lr": 0.05, "text_lr": 0.05, "lora_plus": 1.0, "accumulate": 1, "snapshots": 0}
        values |= {"optimiser": {"name": "adamw", "betas": [0.9, 0.99], "weight_decay": 0.01}}
        values |= {"optimisation": Optimisation(**how), "schedule": Schedule(**fall), "choice": Choice(**chosen)}
        values |= {"checkpointing": False, "compile": False}
        return Config(**(values | others))

    return config


@pytest.fixture(scope="session")
def tiny_trained(tmp_path_factory, tiny_base, tiny_prepared, tiny_encoded, tiny_training, session_cache):
    """What train leaves after twelve steps: an adapter that changes every picture, and its curves."""
    from stages.train import stage

    folder = tmp_path_factory.mktemp("tiny") / "trained"
    stage.run(tiny_training(), base=tiny_base, prepared=tiny_prepared, encoded=tiny_encoded, out=folder)
    return folder


@pytest.fixture(scope="session")
def tiny_export():
    """What the exported files of ``tiny_training`` should say; give others to change it."""
    from stages.export.stage import Config

    def config(**others):
        values = {"title": "coins-lora", "family": "tiny", "subject": "coins", "base_name": "Tiny"}
        values |= {"base_licence": "Apache-2.0", "batch": 4, "lr": 0.05, "seed": 3}
        return Config(**(values | others))

    return config


@pytest.fixture(scope="session")
def tiny_exported(tmp_path_factory, tiny_base, tiny_upstream, tiny_prepared, tiny_trained, tiny_export):
    """What export leaves of ``tiny_trained``."""
    from stages import tables
    from stages.export import stage
    from stages.records import Recommendation

    folder = tmp_path_factory.mktemp("tiny") / "exported"
    tables.write(folder / "evaluated", Recommendation, [Recommendation(id="adapter", reason="the best of 1")])
    upstream = {name: tiny_upstream / name for name in ("crawled", "frames", "cleaned")}
    upstream |= {"base": tiny_base, "prepared": tiny_prepared, "trained": tiny_trained}
    stage.run(tiny_export(), **upstream, evaluated=folder / "evaluated", out=folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def tiny_generated(tmp_path_factory, tiny_base, tiny_prepared, tiny_trained, session_cache):
    """What generate leaves: six pictures of the subject and four of the prior, by each arm."""
    from stages.generate import stage

    folder = tmp_path_factory.mktemp("tiny") / "generated"
    config = stage.Config(
        family="tiny",
        base_precision="fp32",
        subject_pictures=6,
        prior_pictures=4,
        max_prompts=2,
        checkpoints=2,
        size=(SIDE, SIDE),
        steps=2,
        guidance=2.0,
        batch=4,
        seed=0,
        threads=1,
        shard_digits=1,
    )
    stage.run(config, base=tiny_base, prepared=tiny_prepared, trained=tiny_trained, out=folder)
    return folder


@pytest.fixture(scope="session")
def tiny_ruling():
    """By the policy of a studio that may publish and sell."""
    from stages.records import Ruling

    use = {"commercial": True, "publish": True, "word_of": "all"}
    values = {"use.publish": "true", "unlicensed": "review"}
    return Ruling(id="5" * 64, policy="studio", settings=values, consent_on="2026-06-01", **use)


@pytest.fixture(scope="session")
def tiny_upstream(tmp_path_factory, tiny_samples, tiny_ruling):
    """What crawl, frames, measure, clean and anonymise would leave, with three refused pictures.

    One is refused for its rights (all magenta), one for its size (all cyan), one is a line of 600 x 1 pixels. A title
    is hostile.
    """
    from stages import shards, tables
    from stages.images import encode_png
    from stages.records import Consent, Failure, Frame, Item, Quality, Redaction, Ruling, Verdict

    root = tmp_path_factory.mktemp("tiny-upstream")
    plain = {values["frame"]: png for values, png in tiny_samples}
    colours = {"licence unknown": (255, 0, 255), "small": (0, 255, 255)}
    refused = {
        hashlib.sha256(why.encode()).hexdigest(): (why, encode_png(np.full((12, 12, 3), colour, dtype=np.uint8)))
        for why, colour in colours.items()
    }
    refused["f" * 64] = ("small", encode_png(np.zeros((1, 600, 3), dtype=np.uint8)))
    bytes_of = plain | {id: png for id, (_, png) in refused.items()}
    places = shards.write(root / "crawled", bytes_of, digits=1)
    tables.write(root / "crawled", Item, [_item(id, places[id], id in plain) for id in bytes_of])
    tables.write(root / "crawled", Consent, [])
    tables.write(root / "crawled", Failure, [Failure(id="0", what="https://a.test/<b>", reason="HTTP 404")])
    frames = [
        Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=places[id]) for id in bytes_of
    ]
    tables.write(root / "frames", Frame, frames)
    numbers = dict.fromkeys(("sharpness", "brightness", "contrast", "dark", "bright", "entropy", "colourfulness"), 1.0)
    numbers |= {"text": 0.0, "watermark": 0.0, "aesthetic": None, "nsfw": None}
    facts = {"width": 12, "height": 12, "format": "PNG", "hash": "0" * 64, "hash_quality": 100, "faces": (), **numbers}
    tables.write(root / "measured", Quality, [Quality(id=id, **facts) for id in bytes_of])
    reasons = dict.fromkeys(plain, "") | {id: why for id, (why, _) in refused.items()}
    verdicts = [Verdict(id=id, keep=not why, reason=why, twin="") for id, why in reasons.items()]
    tables.write(root / "cleaned", Verdict, verdicts)
    tables.write(root / "cleaned", Ruling, [tiny_ruling])
    first = min(plain)
    hidden = shards.write(root / "anonymised", {first: plain[first]}, digits=1)
    tables.write(root / "anonymised", Redaction, [Redaction(id=first, regions=1, place=hidden[first])])
    return root


def _item(id, place, stays):
    from stages.records import Item

    values = {"url": f"https://a.test/{id[:8]}.png", "page": "https://a.test/", "kind": "image", "alt": "a photo"}
    values |= {"title": "<script>alert('title')</script>", "author": "A & B", "licence": "CC0-1.0" if stays else ""}
    return Item(id=id, **values, licence_evidence=(), signals=(), credit="", consent="", group="", place=place)


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory):
    """An empty ``mlflow.db``: MLflow takes ten seconds to make one, so it is made once and copied."""
    from stages import tracking

    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.connected()
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_home(tmp_path, monkeypatch, migrated_store):
    """A project's folder with a store of its own."""
    home = tmp_path / "project"
    home.mkdir()
    shutil.copy(migrated_store, home)
    monkeypatch.setenv("DVC_ROOT", str(home))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def mlflow_client(mlflow_home):
    """MLflow's client of the store in ``mlflow_home``."""
    from stages import tracking

    return tracking.connected()[1]
