"""What was said is kept, found again, and asked for in an order that nobody's disk decides."""

import pytest

from stages.caption.memory import remembered

WANTED = {"bb": 2, "aa": 1, "cc": 3}


@pytest.fixture
def asked():
    return []


@pytest.fixture
def load(asked):
    """Answers a number with its word, and writes down what it was asked."""

    def make():
        def ask(some):
            asked.append(list(some))
            return [f"word {number}" for number in some]

        return ask

    return make


def test_everything_is_answered_in_batches_by_the_order_of_the_digests(tmp_path, load, asked):
    found = remembered(tmp_path, WANTED, load, batch=2)
    assert found == {"aa": "word 1", "bb": "word 2", "cc": "word 3"}
    assert asked == [[1, 2], [3]]


def test_what_is_kept_is_not_asked_again_and_one_more_costs_one(tmp_path, load, asked):
    remembered(tmp_path, WANTED, load, batch=9)
    remembered(tmp_path, WANTED | {"ab": 4}, load, batch=9)
    assert asked == [[1, 2, 3], [4]]


def test_what_is_no_longer_wanted_is_not_given_back(tmp_path, load):
    remembered(tmp_path, WANTED, load, batch=9)
    assert remembered(tmp_path, {"aa": 1}, load, batch=9) == {"aa": "word 1"}


def test_nothing_wanted_loads_nothing(tmp_path):
    assert remembered(tmp_path, {}, None, batch=1) == {}


def test_stores_know_nothing_of_each_other(tmp_path, load, asked):
    remembered(tmp_path / "one", {"aa": 1}, load, batch=1)
    remembered(tmp_path / "other", {"aa": 1}, load, batch=1)
    assert asked == [[1], [1]]


def test_an_answer_too_few_is_a_fault_and_nothing_is_guessed(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        remembered(tmp_path, WANTED, lambda: lambda some: ["one"], batch=9)
