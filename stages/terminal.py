"""Lines for people: folded at spaces where somebody looks on, whole where a file or a pipe takes them."""

import logging
import shutil
import sys
import textwrap
from typing import TextIO


def fitted(text: str, stream: TextIO) -> str:
    """``text`` as ``stream`` should have it: on a terminal no line is wider than it, and what is folded is indented."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_folded(line, width) for line in text.splitlines())


def say(text: str) -> None:
    """Write a result on standard output."""
    sys.stdout.write(f"{fitted(text, sys.stdout)}\n")


def complain(text: str) -> None:
    """Write what is wrong, or what is being done, on standard error."""
    sys.stderr.write(f"{fitted(text, sys.stderr)}\n")


class Lines(logging.Formatter):
    """Messages and nothing else, fitted to standard error."""

    def format(self, record: logging.LogRecord) -> str:
        """The message of ``record``."""
        return fitted(super().format(record), sys.stderr)


def log_lines() -> None:
    """Send the log to standard error, a message a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _folded(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
