"""YuNet's rows to regions, and its weights when they are missing or others. The weights themselves ship nowhere."""

import hashlib

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
