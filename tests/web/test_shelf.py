"""The shelf: a robots.txt counts for a day, for every client over the folder, and is asked for by one thread only."""

import os
import threading
import time

import pytest

from stages.errors import FetchError
from stages.web import shelf as shelves
from stages.web.shelf import FRESH, RETRY, Shelf

ORIGIN = "http://a.test"


class Clock:
    """A time that the test moves on."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fetch():
    """Brings what forbids everything, and counts."""

    def bring(origin):
        bring.asked.append(origin)
        return b"User-agent: *\nDisallow: /\n"

    bring.asked = []
    return bring


def test_a_copy_counts_for_a_day_and_no_longer(clock, fetch):
    shelf = Shelf("Darkroom", now=clock)
    assert not shelf.of(ORIGIN, fetch).allows("/a")
    clock.now += FRESH - 1
    shelf.of(ORIGIN, fetch)
    assert fetch.asked == [ORIGIN]
    clock.now += 2
    shelf.of(ORIGIN, fetch)
    assert fetch.asked == [ORIGIN] * 2


def test_each_origin_has_its_own(clock, fetch):
    shelf = Shelf("Darkroom", now=clock)
    for origin in ("http://a.test", "https://a.test", "http://a.test:81"):
        shelf.of(origin, fetch)
    assert len(fetch.asked) == 3


def test_a_failure_counts_for_some_minutes(clock):
    shelf, asked = Shelf("Darkroom", now=clock), []

    def fail(origin):
        asked.append(origin)
        raise FetchError("answered 503")

    for _ in range(2):
        with pytest.raises(FetchError, match="answered 503"):
            shelf.of(ORIGIN, fail)
    assert len(asked) == 1
    clock.now += RETRY + 1
    with pytest.raises(FetchError, match="answered 503"):
        shelf.of(ORIGIN, fail)
    assert len(asked) == 2


def test_the_next_client_finds_the_copy_in_the_folder(clock, fetch, tmp_path):
    for _ in range(2):
        shelf = Shelf("Darkroom", now=clock)
        shelf.folder = tmp_path
        assert not shelf.of(ORIGIN, fetch).allows("/a")
    assert fetch.asked == [ORIGIN]


def test_few_copies_are_held_and_the_others_found_in_the_folder(clock, fetch, tmp_path, monkeypatch):
    monkeypatch.setattr(shelves, "HELD", 2)
    shelf = Shelf("Darkroom", now=clock)
    shelf.folder = tmp_path
    origins = [f"http://{letter}.test" for letter in "abcd"]
    for origin in origins * 2:
        assert not shelf.of(origin, fetch).allows("/a")
    assert fetch.asked == origins
    assert len(shelf._copies) == 2


def test_an_old_copy_in_the_folder_does_not_count(clock, fetch, tmp_path):
    shelf = Shelf("Darkroom", now=clock)
    shelf.folder = tmp_path
    shelf.of(ORIGIN, fetch)
    (file,) = tmp_path.iterdir()
    os.utime(file, (clock.now - FRESH - 10,) * 2)
    other = Shelf("Darkroom", now=clock)
    other.folder = tmp_path
    other.of(ORIGIN, fetch)
    assert len(fetch.asked) == 2


def test_a_failure_is_not_kept_in_the_folder(clock, fetch, tmp_path):
    def fail(_):
        raise FetchError("answered 503")

    shelf = Shelf("Darkroom", now=clock)
    shelf.folder = tmp_path
    with pytest.raises(FetchError):
        shelf.of(ORIGIN, fail)
    assert list(tmp_path.iterdir()) == []


def test_of_many_threads_one_asks(clock):
    shelf, asked = Shelf("Darkroom", now=clock), []

    def slow(origin):
        asked.append(origin)
        time.sleep(0.05)
        return b""

    threads = [threading.Thread(target=shelf.of, args=(ORIGIN, slow)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [ORIGIN]
