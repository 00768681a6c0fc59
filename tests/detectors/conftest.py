"""The astronaut's portrait, for every detector of faces."""

import pytest

from stages import specimens


@pytest.fixture(scope="session")
def portrait():
    """The astronaut's face, uint8[240, 300, 3]; the nose is at 164, 118."""
    return specimens.crop(specimens.photograph("astronaut"), (60, 0, 360, 240))
