"""What detectors share: geometry of regions, and weights that are what they should be."""

import hashlib

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import detectors, plugins
from stages.detectors import in_order, in_wheel, overlap, padded, placed, shrunk, strongest, weights
from stages.errors import ModelError
from stages.records import Region

OTHERS = [
    ("cls", 8),
    ("cls", 16),
    ("obj", 16),
    ("obj", 32),
    ("bbox", 8),
    ("bbox", 32),
    ("kps", 8),
    ("kps", 16),
    ("kps", 32),
]
SIDE, AT = st.integers(1, 60), st.integers(0, 60)


def region(left, top, width, height, score=1.0):
    return Region(left=left, top=top, width=width, height=height, score=score, landmarks=())


REGION = st.builds(region, AT, AT, SIDE, SIDE, st.floats(0, 1))


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap_is_intersection_over_union(one, other, shared):
    assert overlap(region(*one), region(*other)) == pytest.approx(shared)


@given(REGION, REGION)
def test_overlap_is_the_same_either_way_and_a_share(one, other):
    assert overlap(one, other) == overlap(other, one)
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, one) == 1


def test_of_overlapping_regions_the_surest_stays():
    weak, sure, far = region(0, 0, 10, 10, 0.4), region(1, 1, 10, 10, 0.9), region(50, 0, 10, 10, 0.3)
    assert strongest([weak, far, sure], above=0.3) == (far, sure)


@given(st.lists(REGION, max_size=12), st.floats(0, 1))
def test_the_strongest_overlap_no_further_and_cover_all_others(regions, above):
    kept = strongest(regions, above=above)
    assert kept == strongest(reversed(regions), above=above) == in_order(kept)
    assert all(overlap(one, other) <= above for one in kept for other in kept if one is not other)
    assert all(any(each == other or overlap(each, other) > above for other in kept) for each in regions)


def test_a_large_picture_is_shrunk_and_a_small_one_is_left():
    large = np.zeros((300, 600, 3), dtype=np.uint8)
    small, scale = shrunk(large, side=200)
    assert (small.shape, scale) == ((100, 200, 3), pytest.approx(1 / 3))
    assert shrunk(small, side=200)[0] is small
    assert shrunk(np.zeros((1, 3000, 3), dtype=np.uint8), side=100)[0].shape == (1, 100, 3)


def test_padding_is_black_and_below_and_to_the_right():
    result = padded(np.full((33, 64, 3), 9, dtype=np.uint8), multiple=32)
    assert result.shape == (64, 64, 3)
    assert (result[:33] == 9).all()
    assert not result[33:].any()


def test_a_region_is_placed_in_the_pixels_of_the_picture_and_cut_at_its_edges():
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    assert placed((-3, 10, 60, 70), 1.2, [(1.26, 2)], scale=0.5, pixels=pixels) == Region(
        left=0, top=20, width=120, height=80, score=1.0, landmarks=((2.5, 4.0),)
    )
    beyond = placed((300, 300, 400, 400), 0.12345, [], scale=1.0, pixels=pixels)
    assert (beyond.left, beyond.top, beyond.width, beyond.height, beyond.score) == (200, 100, 0, 0, 0.123)


def test_weights_are_read_when_their_digest_is_right(tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert weights(file, sha256=digest, where="x", cure="bring them") == b"weights"


def test_weights_that_are_not_there_or_others_are_refused(tmp_path):
    file = tmp_path / "a.onnx"
    with pytest.raises(ModelError, match=r"^x: its weights a\.onnx are not there; bring them$"):
        weights(file, sha256="0" * 64, where="x", cure="bring them")
    file.write_bytes(b"others")
    with pytest.raises(ModelError, match=f"^x: a.onnx has the SHA-256 [0-9a-f]{{64}} and not {'0' * 64}; bring them$"):
        weights(file, sha256="0" * 64, where="x", cure="bring them")


def test_a_file_is_found_in_a_wheel_and_not_in_one_that_is_not_there():
    assert in_wheel("skimage", "data/astronaut.png").is_file()
    assert not in_wheel("no_such_package", "weights.onnx").exists()


def made(word):
    """A new list each time."""
    return [word]


def test_what_a_thread_made_is_made_once():
    assert detectors.of_thread(made, "a") is detectors.of_thread(made, "a")
    assert detectors.of_thread(made, "a") is not detectors.of_thread(made, "b")


def test_a_network_gives_the_outputs_that_are_asked_for_whatever_the_size(bright_faces):
    run = detectors.network(bright_faces, ["cls_32", "bbox_16", "obj_8", *(f"{n}_{s}" for n, s in OTHERS)])
    batch = np.zeros((1, 3, 96, 128), dtype=np.float32)
    batch[:, :, 32:64, 96:] = 255
    seen, box, there, *_ = run(batch)
    assert (seen.shape, box.shape, there.shape) == ((1, 3, 4, 1), (1, 6, 8, 4), (1, 12, 16, 1))
    assert seen[0, :, :, 0] == pytest.approx(np.eye(1, 12, 7).reshape(3, 4), abs=1e-3)
    assert run(np.zeros((1, 3, 32, 32), dtype=np.float32))[0].shape == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10},
        {"name": "centerface", "side": 320, "min_score": 0.3},
        {"name": "words", "side": 320, "min_score": 0.5},
    ],
)
def test_a_detector_can_be_given_to_another_process(portrait, choice):
    detect = plugins.build("stages.detectors", choice)
    found = detect(portrait)
    assert cloudpickle.loads(cloudpickle.dumps(detect))(portrait) == found
