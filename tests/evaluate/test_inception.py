"""The network with random weights, beside what torch-fidelity's has with the same; published weights do not ship."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages import plugins, specimens
from stages.errors import ModelError
from stages.evaluate.inception import SIDE, Network, model_input

CAT = specimens.photograph("chelsea")
PLACES = [39, 345, 717, 1111, 1488, 1895, 1955, 2019]  # in each branch of the last block
# torch-fidelity's FeatureExtractorInceptionV3, 028118e, with ``random_tensors`` and ``CAT``
GOLDEN = [11.74562, 9.5066, 11.62801, 12.63566, 12.80589, 13.98425, 15.33583, 21.28899]


def layers():
    """Name, width, channels and window of each, as torch-fidelity's feature_extractor_inceptionv3.py has them."""
    yield from (("Conv2d_1a_3x3", 32, 3, 3, 3), ("Conv2d_2a_3x3", 32, 32, 3, 3), ("Conv2d_2b_3x3", 64, 32, 3, 3))
    yield from (("Conv2d_3b_1x1", 80, 64, 1, 1), ("Conv2d_4a_3x3", 192, 80, 3, 3))
    for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        yield from named(name, ("1x1", 64, channels, 1, 1), ("_pool", pooled, channels, 1, 1))
        yield from named(name, ("5x5_1", 48, channels, 1, 1), ("5x5_2", 64, 48, 5, 5))
        yield from named(name, *doubled(channels, 96))
    yield from named("6a", ("3x3", 384, 288, 3, 3), *doubled(288, 96))
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        yield from named(name, ("1x1", 192, 768, 1, 1), ("_pool", 192, 768, 1, 1), ("7x7_1", inner, 768, 1, 1))
        yield from named(name, ("7x7_2", inner, inner, 1, 7), ("7x7_3", 192, inner, 7, 1))
        yield from named(name, ("7x7dbl_1", inner, 768, 1, 1), ("7x7dbl_2", inner, inner, 7, 1))
        yield from named(name, ("7x7dbl_3", inner, inner, 1, 7), ("7x7dbl_4", inner, inner, 7, 1))
        yield from named(name, ("7x7dbl_5", 192, inner, 1, 7))
    yield from named("7a", ("3x3_1", 192, 768, 1, 1), ("3x3_2", 320, 192, 3, 3), ("7x7x3_1", 192, 768, 1, 1))
    yield from named("7a", ("7x7x3_2", 192, 192, 1, 7), ("7x7x3_3", 192, 192, 7, 1), ("7x7x3_4", 192, 192, 3, 3))
    for name, channels in (("7b", 1280), ("7c", 2048)):
        yield from named(name, ("1x1", 320, channels, 1, 1), ("_pool", 192, channels, 1, 1))
        yield from named(name, ("3x3_1", 384, channels, 1, 1), *split("3x3_2"))
        yield from named(name, ("3x3dbl_1", 448, channels, 1, 1), ("3x3dbl_2", 384, 448, 3, 3), *split("3x3dbl_3"))


def named(block, *branches):
    return [(f"Mixed_{block}.branch{name}", *shape) for name, *shape in branches]


def doubled(channels, width):
    return ("3x3dbl_1", 64, channels, 1, 1), ("3x3dbl_2", width, 64, 3, 3), ("3x3dbl_3", width, width, 3, 3)


def split(name):
    return (f"{name}a", 384, 384, 1, 3), (f"{name}b", 384, 384, 3, 1)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


def random_tensors():
    rng, made = np.random.default_rng(0), {}
    for name, width, *shape in layers():
        weight = rng.standard_normal((width, *shape), dtype=np.float32) * np.float32((2 / np.prod(shape)) ** 0.5)
        shifts, scales = rng.normal(0, 0.1, (2, width)), rng.uniform(0.5, 1.5, (2, width))
        of_layer = {"conv.weight": weight, "bn.running_mean": shifts[0], "bn.bias": shifts[1]}
        of_layer |= {"bn.running_var": scales[0], "bn.weight": scales[1]}
        made |= {f"{name}.{key}": torch.from_numpy(value.astype(np.float32)) for key, value in of_layer.items()}
    return made


def test_it_sees_what_torch_fidelitys_network_sees_with_the_same_weights(tensors):
    assert sum(tensor.numel() for name, tensor in tensors.items() if name.endswith("conv.weight")) == 21_751_136
    with torch.inference_mode():
        found = Network(tensors)(model_input(CAT))
    assert found.shape == (1, 2048)
    np.testing.assert_allclose(found[0, PLACES].numpy(), GOLDEN, rtol=1e-4)


def by_hand(row):
    """TensorFlow 1's resize_bilinear of one row, align_corners=False, half_pixel_centers=False."""
    made = []
    for place in range(SIDE):
        exact = place * len(row) / SIDE
        before = int(exact)
        after = min(before + 1, len(row) - 1)
        made.append(row[before] + (row[after] - row[before]) * (exact - before))
    return np.array(made)


@pytest.mark.parametrize("count", [7, 299, 640])
def test_pictures_are_stretched_as_tensorflow_1_does_it(count):
    row = np.random.default_rng(0).integers(0, 256, count)
    wide = np.broadcast_to(row[None, :, None], (11, count, 3)).astype(np.uint8)
    for picture, found in ((wide, lambda x: x[0, 0, 0]), (wide.transpose(1, 0, 2), lambda x: x[0, 2, :, 5])):
        made = model_input(np.ascontiguousarray(picture))
        assert (made.dtype, made.shape) == (torch.float32, (1, 3, SIDE, SIDE))
        np.testing.assert_allclose(found(made).numpy(), (by_hand(row) - 128) / 128, atol=2e-4)


def test_black_is_minus_1_and_white_is_less_than_1():
    assert model_input(np.zeros((5, 9, 3), np.uint8)).unique().tolist() == [-1]
    assert model_input(np.full((5, 9, 3), 255, np.uint8)).unique().tolist() == [127 / 128]


@pytest.fixture
def weights(tensors, tmp_path):
    save_file(tensors, tmp_path / "inception.safetensors")
    content = (tmp_path / "inception.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"file": str(tmp_path / "inception.safetensors"), "sha256": digest, "url": "https://nowhere.test/x.pth"}


def built(weights):
    return plugins.build("stages.evaluate.embedders", {"name": "inception", "weights": weights})


def test_as_an_embedder_it_is_always_the_same_and_reads_its_weights_when_needed(weights, monkeypatch, tmp_path):
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "one"))
    small = np.ascontiguousarray(CAT[:50, :80])
    first = built(weights)([small, CAT])
    assert (first.dtype, first.shape) == (np.float64, (2, 2048))
    assert not np.allclose(first[0], first[1])
    remembered = built(weights | {"file": "gone"})
    np.testing.assert_array_equal(remembered([CAT]), first[1:])
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "other"))
    np.testing.assert_array_equal(built(weights)([small]), first[:1])
    with pytest.raises(ModelError, match="gone: there is no such file; have it from https://nowhere"):
        remembered([CAT[:50, :50]])


def test_its_identity_says_weights_and_input():
    digests = ["a" * 64, "b" * 64]
    one, other = (built({"file": "x", "sha256": each, "url": "https://x.test"}).identity for each in digests)
    assert one == f"inception sha256:{digests[0]} TensorFlow 1 bilinear 1"
    assert one != other


def test_what_weights_lack_is_said(tensors):
    some = {name: tensor for name, tensor in tensors.items() if name != "Mixed_5b.branch_pool.bn.bias"}
    with pytest.raises(ModelError, match=r"weights of Inception: lack Mixed_5b\.branch_pool\.bn\.bias; give"):
        Network(some)(torch.zeros(1, 3, 99, 99))
