import subprocess
import sys
from pathlib import Path

import pytest

from stages import plugins
from stages.errors import ConfigError

PART = """
from stages.config import settings

@settings
class Config:
    watts: int

def build(config):
    return f"{__name__} of {config.watts} W"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / f"parts_of_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "lamp.py").write_text(PART)
    (folder / "broken.py").write_text("raise RuntimeError('it was imported')")
    (folder / "notes.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_the_names_are_the_files_sorted_and_none_is_imported(package):
    assert plugins.names(package) == ["broken", "lamp"]
    assert f"{package}.broken" not in sys.modules


def test_a_new_file_is_a_new_part(package, tmp_path):
    (tmp_path / package / "candle.py").write_text(PART)
    assert plugins.names(package) == ["broken", "candle", "lamp"]
    assert plugins.build(package, {"name": "candle", "watts": 1}) == f"{package}.candle of 1 W"


def test_a_part_is_built_from_the_keys_beside_its_name(package):
    assert plugins.build(package, {"name": "lamp", "watts": 40}) == f"{package}.lamp of 40 W"
    assert f"{package}.broken" not in sys.modules


def test_the_choice_is_left_as_it_was(package):
    choice = {"name": "lamp", "watts": 40}
    plugins.build(package, choice)
    assert choice == {"name": "lamp", "watts": 40}


@pytest.mark.parametrize("name", ["torch", "", None, 3, ["lamp"], "lamp.py", "../lamp", "__init__"])
def test_an_unknown_part_is_an_error_that_lists_the_known_ones(package, name):
    with pytest.raises(ConfigError, match=r"there is no part .*; it has: broken, lamp"):
        plugins.build(package, {"name": name, "watts": 40})


def test_a_choice_without_a_name_is_an_error(package):
    with pytest.raises(ConfigError, match="there is no part None"):
        plugins.build(package, {"watts": 40})


def test_keys_that_do_not_fit_are_named_with_the_part(package):
    with pytest.raises(ConfigError, match="lamp: values that do not fit") as error:
        plugins.build(package, {"name": "lamp", "wats": 40})
    assert "  watts: is missing" in str(error.value)
    assert "  wats: there is no such setting" in str(error.value)


def test_listing_the_stages_imports_none():
    code = "import sys\nfrom stages import plugins\nplugins.names('stages')\nsys.exit('stages.train' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False).returncode == 0
