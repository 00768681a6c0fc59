"""YuNet by OpenCV over a network with its outputs that was written by hand: the true weights ship nowhere."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest

from stages import config
from stages.detectors.yunet import Config, build, region
from stages.errors import ConfigError, ModelError


def settings(path, digest="0" * 64):
    return Config(path=str(path), sha256=digest, side=640, min_score=0.6)


def test_a_row_becomes_a_region_with_five_landmarks_in_the_pictures_own_pixels():
    row = np.array([10, 20, 30, 40, 15, 30, 30, 30, 22, 40, 16, 50, 29, 50, 0.87654], dtype=np.float32)
    found = region(row, 0.5, np.zeros((200, 300, 3), dtype=np.uint8))
    assert (found.left, found.top, found.width, found.height, found.score) == (20, 40, 60, 80, 0.877)
    assert found.landmarks == ((30.0, 60.0), (60.0, 60.0), (44.0, 80.0), (32.0, 100.0), (58.0, 100.0))


def test_a_face_beyond_the_edge_is_cut():
    row = np.array([-10, -10, 30, 40, *[0] * 10, 1.0000001], dtype=np.float32)
    found = region(row, 1.0, np.zeros((20, 300, 3), dtype=np.uint8))
    assert (found.left, found.top, found.width, found.height, found.score) == (0, 0, 20, 20, 1.0)


@pytest.fixture
def detect(tmp_path, bright_faces):
    """The detector for which every bright patch is a face."""

    def build_it(side=640, min_score=0.6):
        (tmp_path / "bright.onnx").write_bytes(bright_faces)
        digest = hashlib.sha256(bright_faces).hexdigest()
        return build(Config(path=str(tmp_path / "bright.onnx"), sha256=digest, side=side, min_score=min_score))

    return build_it


def night(*patches, scale=1):
    """A dark picture, uint8[160, 192, 3], with bright patches of 32 pixels at (column, row) of such patches."""
    pixels = np.zeros((160 * scale, 192 * scale, 3), dtype=np.uint8)
    for column, row in patches:
        pixels[32 * scale * row : 32 * scale * (row + 1), 32 * scale * column : 32 * scale * (column + 1)] = 255
    return pixels


def boxes(regions):
    return [(each.left, each.top, each.width, each.height) for each in regions]


def test_what_the_network_sees_comes_out_in_order(detect):
    found = detect()(night((4, 1), (1, 3)))
    assert boxes(found) == [(4 * 32 - 16, 32 - 16, 32, 32), (32 - 16, 3 * 32 - 16, 32, 32)]
    assert {each.score for each in found} == {1.0}
    assert found[0].landmarks == ((128.0, 32.0),) * 5


def test_colours_come_as_the_network_was_trained(detect):
    red, blue = night((4, 1)) * np.uint8([1, 0, 0]), night((4, 1)) * np.uint8([0, 0, 1])
    assert len(detect()(red)) == 1
    assert detect()(blue) == ()


def test_where_nothing_is_seen_there_is_none(detect):
    assert detect()(night()) == ()
    assert detect()(np.zeros((1, 1, 3), dtype=np.uint8)) == ()


def test_a_surer_detector_wants_more(detect):
    dim = night((4, 1)) // 3
    assert len(detect(min_score=0.5)(dim)) == 1  # the root of a third
    assert detect(min_score=0.6)(dim) == ()


def test_a_large_picture_is_searched_small_and_the_box_is_in_its_own_pixels(detect):
    assert boxes(detect(side=192)(night((4, 1), scale=2))) == [(2 * (4 * 32 - 16), 2 * (32 - 16), 64, 64)]


def test_threads_each_have_a_network_of_their_own(detect):
    find = detect()
    pictures = [night((1 + number % 4, 2)) for number in range(12)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(find, pictures)) == [find(picture) for picture in pictures]


def test_it_can_be_given_to_another_process(detect):
    find = detect()
    assert cloudpickle.loads(cloudpickle.dumps(find))(night((2, 2))) == find(night((2, 2)))


def test_weights_that_are_not_there_are_named_with_where_to_get_them(tmp_path):
    message = "its weights none.onnx are not there; download face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
    with pytest.raises(ModelError, match=message):
        build(settings(tmp_path / "none.onnx"))


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"other")
    digest = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ModelError, match=f"other.onnx has the SHA-256 {digest} and not 0000"):
        build(settings(tmp_path / "other.onnx"))


def test_a_digest_that_is_none_is_a_wrong_value():
    values = {"path": "a.onnx", "sha256": "8F23", "side": 640, "min_score": 0.6}
    with pytest.raises(ConfigError, match="sha256"):
        config.check(values, Config, where="here")
