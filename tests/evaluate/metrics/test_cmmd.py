import numpy as np
import pytest

from stages.evaluate.metrics.cmmd import unit


def test_rows_become_unit_vectors_and_zeros_stay():
    rows = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
