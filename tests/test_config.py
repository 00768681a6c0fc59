import dataclasses
from typing import Annotated, Literal

import pytest
from pydantic import Field

from stages import config
from stages.errors import ConfigError


@config.settings
class Lamp:
    watts: Annotated[float, Field(gt=0)]


@config.settings
class Config:
    side: Annotated[int, Field(gt=0)]
    method: Literal["blur", "fill"]
    names: tuple[str, ...]
    lamp: Lamp


GOOD = {"side": 8, "method": "fill", "names": ["a", "b"], "lamp": {"watts": 5}}


def check(**changes):
    return config.check(GOOD | changes, Config, where="here")


def load(tmp_path, text, section="enlarge"):
    (tmp_path / "params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(tmp_path / "params.yaml", section, Config)


def test_values_that_fit_become_the_dataclass_with_lists_as_tuples_and_whole_numbers_as_floats():
    assert check() == Config(side=8, method="fill", names=("a", "b"), lamp=Lamp(watts=5.0))


def test_settings_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        check().side = 9
    with pytest.raises(ValueError, match="positional"):
        Lamp(5.0)


def test_settings_made_in_python_are_checked_like_those_of_a_file():
    with pytest.raises(ValueError, match="greater than 0"):
        Lamp(watts=0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 0}, "side: Input should be greater than 0, not 0"),
        ({"side": "8"}, "side: Input should be a valid integer, not '8'"),
        ({"side": 8.0}, "side: Input should be a valid integer"),
        ({"side": True}, "side: Input should be a valid integer"),
        ({"side": None}, "side: Input should be a valid integer, not None"),
        ({"method": "blurr"}, "method: Input should be 'blur' or 'fill', not 'blurr'"),
        ({"names": "ab"}, "names: Input should be a valid array"),
        ({"names": ["a", 1]}, "names.1: Input should be a valid string, not 1"),
        ({"lamp": {"watts": -1}}, "lamp.watts: Input should be greater than 0"),
        ({"lamp": {}}, "lamp.watts: is missing"),
        ({"lamp": {"watts": float("nan")}}, "lamp.watts: Input should be greater than 0"),
        ({"sides": 3}, "sides: there is no such setting"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_with_what_would_be_right(changes, message):
    with pytest.raises(ConfigError) as error:
        check(**changes)
    assert f"  {message}" in str(error.value)
    assert str(error.value).startswith("here: values that do not fit (edit conf/, not params.yaml)\n")


def test_the_same_lines_come_without_an_exception():
    assert config.faults(GOOD, Config, at="enlarge") == []
    assert config.faults({**GOOD, "side": 0, "more": 1}, Config, at="enlarge") == [
        "enlarge.side: Input should be greater than 0, not 0",
        "enlarge.more: there is no such setting",
    ]


def test_of_a_long_value_only_the_head_is_shown():
    (line,) = config.faults({**GOOD, "method": "x" * 1000}, Config, at="enlarge")
    assert line.endswith("x…")
    assert len(line) < 140


def test_every_value_at_fault_is_named_not_only_the_first():
    with pytest.raises(ConfigError) as error:
        config.check({"side": 0, "method": "no", "nmaes": []}, Config, where="here")
    assert [line.split(":")[0].strip() for line in str(error.value).splitlines()[1:]] == [
        "side",
        "method",
        "names",
        "lamp",
        "nmaes",
    ]


def test_a_section_that_is_no_mapping_is_named_as_a_whole():
    with pytest.raises(ConfigError, match="  the section: "):
        config.check(["side"], Config, where="here")


def test_text_that_yaml_takes_for_a_date_stays_text(tmp_path):
    text = "enlarge: {side: 8, method: fill, names: [2024-01-01], lamp: {watts: 5}}"
    assert load(tmp_path, text).names == ("2024-01-01",)


def test_only_the_section_that_is_asked_for_is_read(tmp_path):
    text = "other: {side: no}\nenlarge: {side: 8, method: fill, names: [], lamp: {watts: 5}}"
    assert load(tmp_path, text).side == 8


@pytest.mark.parametrize("text", ["", "- a", "other: {}", "enlarge", "3"])
def test_a_file_without_the_section_says_how_to_compose_it(tmp_path, text):
    with pytest.raises(ConfigError, match=r"no section 'enlarge'; `python -m stages.params` composes the file"):
        load(tmp_path, text)


def test_a_missing_file_says_how_to_compose_it(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no such file; `python -m stages.params` composes it"):
        config.load(tmp_path / "params.yaml", "enlarge", Config)


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\na: 1\n=======\na: 2\n", "a: [1", "a: \t1\n\tb: 2", b"\xff\xfe\xff"])
def test_a_file_that_is_no_yaml_is_the_users_to_put_right(tmp_path, text):
    with pytest.raises(ConfigError, match="no YAML"):
        load(tmp_path, text)
