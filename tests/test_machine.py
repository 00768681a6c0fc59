import ctypes
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import pytest

from stages import machine
from stages.children import Died, Guard, address_space
from stages.errors import ConfigError, DarkroomError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # worker processes cannot import a file of tests

ROOT = Path(__file__).parent.parent
GUARD = Guard(seconds=60, gigabytes=1)


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


@pytest.mark.parametrize("given", ["spark", "Threads", " "])
def test_an_unknown_engine_is_an_error_that_names_the_engines(monkeypatch, given):
    monkeypatch.setenv("DARKROOM_ENGINE", given)
    with pytest.raises(ConfigError, match=r"DARKROOM_ENGINE: .* is no engine; give threads, processes"):
        list(machine.each(str, [1], label="none"))


def test_only_a_few_results_wait_for_whoever_takes_them(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    done = []
    results = machine.each(done.append, range(1000), label="slowly taken")
    next(results)
    time.sleep(0.1)
    assert len(done) <= 2 * machine.AHEAD
    results.close()
    assert len(done) <= 2 * machine.AHEAD


def test_processes_give_what_threads_give_in_the_same_order(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    monkeypatch.setenv("DARKROOM_ENGINE", "processes")
    results = list(machine.each(lambda item: (item * item, os.getpid()), range(50), label="squares"))
    assert [square for square, _ in results] == [item * item for item in range(50)]
    processes = {process for _, process in results}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes


def test_a_process_works_in_the_folder_and_with_the_environment_of_the_stage(tmp_path, monkeypatch):
    monkeypatch.setenv("DARKROOM_ENGINE", "processes")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("DARKROOM_CACHE", name)
        seen = list(machine.each(lambda _: (Path.cwd(), os.environ["DARKROOM_CACHE"]), [1], label="where"))
        assert seen == [(tmp_path / name, name)]


def test_an_error_in_a_process_comes_out_with_its_traceback(monkeypatch):
    monkeypatch.setenv("DARKROOM_ENGINE", "processes")
    with pytest.raises(ZeroDivisionError) as caught:
        list(machine.each(lambda item: 1 // item, [1, 0, 1], label="divide"))
    assert "1 // item" in caught.value.__notes__[0]


@pytest.mark.parametrize("error", [EOFError("of the work"), ConnectionResetError("of the work")])
def test_an_error_that_looks_like_a_closed_pipe_is_not_taken_for_a_death(error):
    def work(_):
        raise error

    with pytest.raises(type(error), match="of the work"):
        list(machine.each(work, [1], label="pipes", guard=GUARD))


def test_a_process_that_ends_unguarded_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setenv("DARKROOM_ENGINE", "processes")
    with pytest.raises(DarkroomError, match="a worker process ended with exit code 7; set DARKROOM_WORKERS to fewer"):
        list(machine.each(lambda _: os._exit(7), [1], label="exit"))


def test_an_error_in_getting_ready_comes_out_and_is_not_laid_at_an_items_door(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "1")

    class Work:
        def __init__(self):
            self.part = "weights"

        def __setstate__(self, state):
            raise ValueError("they are not there")

        def __call__(self, item):
            return item

    with pytest.raises(ValueError, match="they are not there"):
        list(machine.each(Work(), [1, 2], label="t", guard=Guard(seconds=5.0, gigabytes=1.0)))


def test_work_that_no_other_process_can_have_is_an_error(monkeypatch):
    monkeypatch.setenv("DARKROOM_ENGINE", "processes")
    lock = threading.Lock()
    with pytest.raises(ConfigError, match=r"cannot be given to another process .* unset it"):
        list(machine.each(lambda _: lock.locked(), [1], label="lock"))


def misbehaving(item):
    if item == "hangs in C":
        ctypes.CDLL(None).pause()
    if item == "hangs in Python":
        while True:
            pass
    if item == "eats memory":
        return len(bytearray(4_000_000_000))
    if item == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "exits":
        os._exit(3)
    return item


REASONS = {
    "hangs in C": "took more than 0.5 seconds",
    "hangs in Python": "took more than 0.5 seconds",
    "eats memory": "took more than 1 GB of memory",
    "is killed": "ended by SIGKILL",
    "crashes": "ended by SIGSEGV",
    "exits": "ended with exit code 3",
}


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_an_item_that_dies_is_a_result_and_the_others_go_on(monkeypatch, engine):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    monkeypatch.setenv("DARKROOM_ENGINE", engine)
    items = [item for reason in REASONS for item in ("good", reason)] + ["good"] * 5
    guard = Guard(seconds=0.5, gigabytes=1)
    expected = [Died(REASONS[item]) if item in REASONS else item for item in items]
    assert list(machine.each(misbehaving, items, label="misbehave", guard=guard)) == expected


def test_memory_is_what_an_item_takes_and_not_what_the_worker_began_with():
    def work(_):
        return len(bytearray(150_000_000))

    began = list(machine.each(lambda _: address_space(), [1], label="begin", guard=GUARD))
    assert began[0] > 20_000_000
    guard = Guard(seconds=60, gigabytes=0.16)
    assert list(machine.each(work, range(3), label="eat", guard=guard)) == [150_000_000] * 3


def test_a_library_that_calls_a_lack_of_memory_by_another_name_is_understood():
    def work(_):
        raise RuntimeError("OpenCV(5.0.0) error: (-4:Insufficient memory) Failed to allocate 9 bytes")

    assert list(machine.each(work, [1], label="eat", guard=GUARD)) == [Died("took more than 1 GB of memory")]


def test_time_is_counted_for_each_item_anew(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "1")
    slow = machine.each(lambda item: time.sleep(0.3), range(5), label="slow", guard=Guard(seconds=1.2, gigabytes=1))
    assert list(slow) == [None] * 5


def test_workers_start_once_and_bring_no_torch(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "1")
    seen = set(machine.each(lambda _: (os.getpid(), "torch" in sys.modules), range(20), label="who", guard=GUARD))
    ((process, heavy),) = seen
    assert process != os.getpid()
    assert not heavy


def test_no_process_is_left_behind(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    results = machine.each(lambda _: os.getpid(), range(100), label="who", guard=GUARD)
    processes = {next(results), next(results)}
    results.close()
    assert all(gone(process) for process in processes)


def gone(process):
    """Whether ``process`` ends within ten seconds: the fork server collects its dead when it comes to it."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_who_stops_taking_results_waits_for_no_item_that_hangs(monkeypatch):
    monkeypatch.setenv("DARKROOM_WORKERS", "2")
    results = machine.each(misbehaving, ["good", "hangs in C", "hangs in Python", "good"], label="stop", guard=GUARD)
    assert next(results) == "good"
    time.sleep(0.3)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10


def test_a_large_item_and_a_large_result_pass_through_the_pipe():
    assert list(machine.each(bytes.upper, [b"a" * 5_000_000], label="large", guard=GUARD)) == [b"A" * 5_000_000]


@pytest.mark.parametrize(("engine", "package"), [("daft", "daft"), ("ray", "daft"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_is_an_error_that_names_the_extra(monkeypatch, engine, package):
    monkeypatch.setenv("DARKROOM_ENGINE", engine)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"DARKROOM_ENGINE: {package} is not installed; pip install 'darkroom\[clu"):
        list(machine.each(str, [1], label="none"))


PROGRAM = """
import hashlib, json, os, signal, sys
from stages import machine
from stages.children import Guard

def where():
    if "ray" not in sys.modules or not sys.modules["ray"].is_initialized():
        return ""
    return sys.modules["ray"].get_runtime_context().get_node_id()

def work(item):
    return hashlib.sha256(bytes([item % 256]) * 10_000).hexdigest(), os.getcwd(), os.environ["DARKROOM_CACHE"], where()

def dies(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item

def main():
    done = list(machine.each(work, range(300), label="work"))
    guarded = list(machine.each(dies, range(6), label="guarded", guard=Guard(seconds=20, gigabytes=1)))
    try:
        list(machine.each(lambda item: 1 // (item - 5), range(300), label="errors"))
    except ZeroDivisionError as error:
        raised = repr(error)
    facts = [rest for *rest, _ in done], [repr(each) for each in guarded], raised
    print(json.dumps([facts, sorted({node for *_, node in done})]))

if __name__ == "__main__":
    main()
"""


def came_of(engine, folder, **environment):
    """What ``PROGRAM`` found with ``engine``, and on which nodes; in a process of its own: Daft runs on one thing."""
    (folder / "program.py").write_text(PROGRAM)
    settings = {"DARKROOM_ENGINE": engine, "DARKROOM_WORKERS": "2", "PYTHONPATH": str(ROOT)} | environment
    command, settings = [sys.executable, "program.py"], os.environ | settings
    answer = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize("engine", ["processes", "daft"])
def test_every_engine_gives_the_same_results_deaths_and_errors(tmp_path, engine):
    expected, _ = came_of("threads", tmp_path)
    assert expected[1] == ["0", "1", "2", "Died(reason='ended by SIGKILL')", "4", "5"]
    assert came_of(engine, tmp_path)[0] == expected


@pytest.mark.slow
def test_two_machines_under_ray_share_the_work_and_give_the_same_results(tmp_path, cluster):
    found, nodes = came_of("ray", tmp_path, RAY_ADDRESS=cluster)
    assert found == came_of("threads", tmp_path)[0]
    assert len(nodes) == 2


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
