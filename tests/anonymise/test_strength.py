"""How well a redacted face is hidden: the hundred faces of scikit-image's ``lfw_subset`` against their own originals.

Whoever looks for a person has photographs to compare with. The nearest neighbour among a hundred, by brightness and by
form, is a weak look; what stands against it is the least that "unrecognisable" can mean. Chance is one of a hundred.
"""

import cv2
import numpy as np
import pytest
import skimage.data

from stages import plugins
from stages.anonymise.redact import redact
from stages.records import Region

SIDE = 100
WHOLE = Region(score=1.0, landmarks=(), left=0, top=0, width=SIDE, height=SIDE)


@pytest.fixture(scope="module")
def faces():
    grey = np.rint(255 * skimage.data.lfw_subset()[:100]).astype(np.uint8)
    return [np.repeat(cv2.resize(each, (SIDE, SIDE))[..., None], 3, axis=2) for each in grey]


@pytest.fixture(scope="module")
def again(faces):
    """The same faces a little moved, turned, scaled and otherwise lit, with noise."""
    return [view(face, np.random.default_rng(number)) for number, face in enumerate(faces)]


def view(face, rng):
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-6, 6), rng.uniform(0.92, 1.08))
    matrix[:, 2] += rng.uniform(-6, 6, 2)
    moved = cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101).astype(float)
    lit = (moved - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-15, 15) + rng.normal(0, 5, face.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def hidden(faces, method):
    return [redact(face, [WHOLE], method=method, margin=0.0) for face in faces]


def light(faces):
    return np.stack([cv2.resize(face, (25, 25), interpolation=cv2.INTER_AREA)[..., 0].ravel() for face in faces]) / 255


def form(faces):
    centred = light(faces) - light(faces).mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)


def matched(asked, known):
    """How many of ``asked`` are nearest to the one of ``known`` at their own place, by the better of two looks."""
    hits = []
    for look in (light, form):
        apart = ((look(asked)[:, None] - look(known)[None]) ** 2).sum(axis=2)
        hits.append(int((apart.argmin(axis=1) == np.arange(len(asked))).sum()))
    return max(hits)


def worst(faces, again, method):
    """The best that someone with the original, with another view, or with that redacted likewise can do."""
    redacted = hidden(faces, method)
    return max(matched(redacted, faces), matched(redacted, again), matched(redacted, hidden(again, method)))


def test_without_redaction_the_look_knows_nearly_every_face(faces, again):
    assert matched(again, faces) >= 90


@pytest.mark.parametrize(("method", "most"), [("fill", 10), ("blur", 16)])
def test_filled_and_blurred_faces_are_matched_hardly_more_often_than_by_chance(faces, again, method, most):
    assert worst(faces, again, method) <= most


def test_pixelating_hides_least_as_the_settings_say(faces, again):
    assert worst(faces, again, "blur") < worst(faces, again, "pixelate") < 90
    assert matched(hidden(faces, "pixelate"), faces) <= 45


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10},
        {"name": "centerface", "side": 640, "min_score": 0.3},
    ],
)
def test_no_detector_finds_a_redacted_face(faces, choice):
    detect = plugins.build("stages.detectors", choice)
    box = Region(score=1.0, landmarks=(), left=50, top=50, width=SIDE, height=SIDE)
    canvases = [np.pad(face, ((50, 50), (50, 50), (0, 0)), constant_values=128) for face in faces[:8]]
    assert sum(bool(detect(canvas)) for canvas in canvases) >= 6
    for method in ("fill", "blur", "pixelate"):
        assert not any(detect(redact(canvas, [box], method=method, margin=0.2)) for canvas in canvases)
