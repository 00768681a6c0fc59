import errno
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from stages import machine
from stages.errors import ConfigError


def test_workers_are_the_cores_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("DARKROOM_WORKERS", raising=False)
    assert machine.workers() == os.cpu_count()
    monkeypatch.setenv("DARKROOM_WORKERS", "")
    assert machine.workers() == os.cpu_count()
    monkeypatch.setenv("DARKROOM_WORKERS", "3")
    assert machine.workers() == 3


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5", " 2", "²"])
def test_a_number_of_workers_that_is_none_is_an_error(monkeypatch, given):
    monkeypatch.setenv("DARKROOM_WORKERS", given)
    with pytest.raises(ConfigError, match=r"DARKROOM_WORKERS: .* give 1 or more, or unset it"):
        machine.workers()


@pytest.mark.parametrize("given", ["cpu", "cuda"])
def test_the_device_is_what_the_environment_says(monkeypatch, given):
    monkeypatch.setenv("DARKROOM_DEVICE", given)
    assert machine.device() == given


@pytest.mark.parametrize("given", ["gpu", "CPU", "cuda:1", " "])
def test_an_unknown_device_is_an_error(monkeypatch, given):
    monkeypatch.setenv("DARKROOM_DEVICE", given)
    with pytest.raises(ConfigError, match=r"DARKROOM_DEVICE: .* is no device; give cpu or cuda, or unset it"):
        machine.device()


def test_a_device_is_found_where_none_is_named(monkeypatch):
    monkeypatch.delenv("DARKROOM_DEVICE")
    assert machine.device() in {"cpu", "cuda"}


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "new"))
    assert machine.cache("crawl/web") == tmp_path / "new" / "crawl" / "web"
    assert machine.cache("crawl/web").is_dir()


@pytest.mark.parametrize("given", [None, ""])
def test_the_cache_lies_at_home_otherwise(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DARKROOM_CACHE")
    if given is not None:
        monkeypatch.setenv("DARKROOM_CACHE", given)
    assert machine.cache("a") == Path(tmp_path) / ".cache" / "darkroom" / "a"


@pytest.mark.parametrize("workers", ["1", "4"])
def test_results_come_in_the_order_of_the_items_however_many_work(monkeypatch, workers):
    monkeypatch.setenv("DARKROOM_WORKERS", workers)

    def work(item):
        time.sleep(0.002 * (5 - item % 5))
        return item * item

    assert list(machine.each(work, range(20), label="squares")) == [item * item for item in range(20)]


def test_items_are_worked_on_at_the_same_time(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    both = threading.Barrier(2, timeout=10)
    assert sorted(machine.each(lambda _: both.wait(), range(2), label="meet")) == [0, 1]


def test_no_items_are_no_results():
    assert list(machine.each(str, [], label="none")) == []


def test_an_error_in_the_work_comes_out(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    with pytest.raises(ZeroDivisionError):
        list(machine.each(lambda item: 1 // item, [1, 0, 1], label="divide"))


def test_no_bar_is_drawn_where_nobody_looks(capsys):
    list(machine.each(str, range(3), label="quiet"))
    assert capsys.readouterr() == ("", "")


def wrapped(inner, outer, *, cause):
    """``outer`` as it stands when it is raised while ``inner`` is handled, with or without ``from``."""
    outer.__context__ = inner
    outer.__cause__ = inner if cause else None
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "over"),
        sqlite3.OperationalError("database or disk is full"),
        RuntimeError("Error: IOError: No space left on device (os error 28)"),
        wrapped(OSError(errno.ENOSPC, "x"), ValueError("cannot write"), cause=True),
        wrapped(OSError(errno.ENOSPC, "x"), ValueError("cannot write"), cause=False),
        wrapped(wrapped(OSError(errno.ENOSPC, "x"), KeyError(), cause=True), ValueError(), cause=True),
    ],
)
def test_a_full_disk_is_known_however_it_is_wrapped(error):
    assert machine.disk_is_full(error)


@pytest.mark.parametrize(
    "error",
    [None, OSError(errno.EACCES, "denied"), OSError("no errno"), wrapped(KeyError("a"), ValueError("b"), cause=True)],
)
def test_other_errors_are_not_a_full_disk(error):
    assert not machine.disk_is_full(error)
