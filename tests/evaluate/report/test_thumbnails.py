import base64
import io

import numpy as np
from PIL import Image

from stages.evaluate.report import thumbnails
from stages.images import decode


def test_a_small_picture_is_embedded_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 128, 3), dtype=np.uint8)
    kind, _, content = thumbnails.inline(pixels).partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(decode(base64.b64decode(content)), pixels)


def test_a_large_picture_is_scaled_down_so_that_the_page_stays_small():
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 512, 3), dtype=np.uint8)
    kind, _, content = thumbnails.inline(pixels).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (128, 256)
    assert len(content) < 40_000


def test_a_line_of_one_pixel_keeps_it():
    assert thumbnails.scaled(np.zeros((1, 500, 3), dtype=np.uint8), 100).shape == (1, 100, 3)
