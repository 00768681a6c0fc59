import io
import logging

import pytest

from stages import terminal


class Screen(io.StringIO):
    """A terminal that keeps what was written."""

    def isatty(self):
        return True


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")


LONG = "clean: none of 30 frames stays; state the rights to pictures in rights.yaml"


def test_on_a_terminal_a_line_is_folded_at_spaces_and_what_is_folded_is_indented(narrow):
    lines = terminal.fitted(LONG, Screen()).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == LONG


def test_lines_stay_lines_and_keep_their_own_indent(narrow):
    lines = terminal.fitted(f"first\n  {LONG}\n\nlast", Screen()).splitlines()
    assert (lines[0], lines[-2], lines[-1]) == ("first", "", "last")
    assert lines[1].startswith("  clean")
    assert lines[2].startswith("    ")


def test_an_address_is_never_broken(narrow):
    address = "https://example.org/" + "a-b" * 40
    assert address in terminal.fitted(f"see {address} there", Screen())


def test_a_file_or_a_pipe_gets_whole_lines(narrow):
    assert terminal.fitted(LONG, io.StringIO()) == LONG


def test_a_result_goes_to_standard_output_and_a_complaint_to_standard_error(capsys):
    terminal.say("done")
    terminal.complain("no")
    assert capsys.readouterr() == ("done\n", "no\n")


def test_the_log_is_fitted_to_the_terminal(narrow, monkeypatch):
    monkeypatch.setattr(terminal.sys, "stderr", Screen())
    record = logging.LogRecord("stages", logging.INFO, "", 0, "%s", (LONG,), None)
    assert terminal.Lines("%(message)s").format(record) == terminal.fitted(LONG, Screen())
