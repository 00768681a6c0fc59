"""The distance beside torchmetrics' with the same random networks; weights that cannot be had: test_published.py."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.functional.image import lpips as theirs

from stages import specimens
from stages.errors import ModelError
from stages.evaluate import lpips
from stages.evaluate.lpips import NETWORKS, Lpips
from stages.evaluate.published import Published

CAT, CUP = (specimens.photograph(name)[40:107, 30:110] for name in ("chelsea", "coffee"))  # 67 x 80, no round number
POOLS = {"alex": (3, 2), "vgg": (2, 2)}
# As torchvision's models/alexnet.py and vgg.py have ``features``: channels, side, stride, padding; or a pool
FEATURES = {
    "alex": [(64, 11, 4, 2), "pool", (192, 5, 1, 2), "pool", (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), "pool"],
    "vgg": [
        *((64, 3, 1, 1), (64, 3, 1, 1), "pool", (128, 3, 1, 1), (128, 3, 1, 1), "pool"),
        *((256, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), "pool", (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1)),
        *("pool", (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "pool"),
    ],
}


def features(name):
    """``features`` of torchvision's model, random."""
    layers, channels = [], 3
    for each in FEATURES[name]:
        if each == "pool":
            layers.append(nn.MaxPool2d(*POOLS[name]))
            continue
        wide, side, stride, padding = each
        convolution = nn.Conv2d(channels, wide, side, stride, padding)
        nn.init.kaiming_normal_(convolution.weight)
        nn.init.normal_(convolution.bias, std=0.1)
        layers += [convolution, nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Of each network its layers and the file that they lie in, as torchvision names them."""
    made = {}
    for name in NETWORKS:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = features(name)
        file = tmp_path_factory.mktemp("lpips") / f"{name}.pth"
        torch.save({f"features.{key}": value for key, value in layers.state_dict().items()}, file)
        made[name] = layers, given(file)
    return made


def given(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Published(file=str(file), sha256=digest, url="https://nowhere.test/x.pth")


def by_torchmetrics(name, layers, one, other, monkeypatch):
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda net, pretrained: layers)
    net = theirs._LPIPS(net=name, pretrained=True)
    signed = [torch.from_numpy(each.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1 for each in (one, other)]
    with torch.no_grad():
        return net(*signed).item()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_equals_that_of_torchmetrics_with_the_same_network(name, networks, monkeypatch):
    layers, weights = networks[name]
    known = by_torchmetrics(name, layers, CAT, CUP, monkeypatch)
    assert known > 0.05
    assert Lpips(name, weights).of([CAT], [CUP]) == pytest.approx([known], abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_pictures_are_not_apart_and_others_are_alike_from_both_sides(name, networks):
    apart = Lpips(name, networks[name][1])
    same, there, back = apart.of([CAT, CAT, CUP], [CAT, CUP, CAT])
    assert same == 0
    assert there == back > 0


def test_a_picture_without_any_colour_is_no_reason_for_nothing(networks):
    black = np.zeros_like(CAT)
    assert np.isfinite(Lpips("alex", networks["alex"][1]).of([black], [CAT])).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_least_side_is_the_least_of_which_anything_is_left(name, networks):
    _, weights = networks[name]
    least = NETWORKS[name].least
    *_, last = lpips.activations(NETWORKS[name], Lpips(name, weights)._layers, torch.zeros(1, 3, least, 50))
    assert last.shape[2] == 1
    with pytest.raises(RuntimeError, match="Output size is too small"):
        list(lpips.activations(NETWORKS[name], Lpips(name, weights)._layers, torch.zeros(1, 3, least - 1, 50)))
    small = np.zeros((least - 1, 50, 3), np.uint8)
    assert not Lpips(name, weights).takes([CAT, small])
    assert Lpips(name, weights).takes([CAT])


def test_it_is_named_by_its_network_and_weights_before_they_are_read(tmp_path):
    one, other = (Published(file="nowhere.pth", sha256=digit * 64, url="https://nowhere.test") for digit in "ab")
    assert Lpips("alex", one).identity == f"lpips 0.1 alex sha256:{'a' * 64}"
    assert len({Lpips(name, file).identity for name in NETWORKS for file in (one, other)}) == 4


def test_weights_of_another_network_are_refused(networks, tmp_path):
    with pytest.raises(ModelError, match=r"vgg\.pth: lacks features\.3\.weight, which alex has; give the file from"):
        Lpips("alex", networks["vgg"][1]).of([CAT], [CUP])
