"""Videos made by OpenCV, of a known grey at each moment."""

import struct

import cv2
import numpy as np
import pytest


@pytest.fixture
def film(tmp_path):
    """A video of ``count`` frames, each greyer than the one before, as bytes."""

    def make(count=30, per_second=10, suffix="mp4", code="mp4v"):
        file = tmp_path / f"film.{suffix}"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*code), per_second, (64, 48))
        for number in range(count):
            writer.write(np.full((48, 64, 3), 6 * number, dtype=np.uint8))
        writer.release()
        return file.read_bytes()

    return make


@pytest.fixture
def halting():
    """An MP4 of which one frame stays for a while: its table of durations gets a second entry."""

    def rewrite(video, *, frame, times):
        place = video.index(b"stts") - 4
        size, kind, flags, entries, count, duration = struct.unpack(">I4sIIII", video[place : place + 24])
        assert (size, kind, entries) == (24, b"stts", 1)
        runs = [(frame, duration), (1, duration * times), (count - frame - 1, duration)]
        table = struct.pack(">I4sII", 16 + 8 * len(runs), kind, flags, len(runs))
        table += b"".join(struct.pack(">II", *run) for run in runs)
        grown = bytearray(video[:place] + table + video[place + size :])
        for parent in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            at = grown.index(parent) - 4
            (old,) = struct.unpack(">I", grown[at : at + 4])
            grown[at : at + 4] = struct.pack(">I", old + len(table) - size)
        edit = grown.index(b"elst") + 12  # the edit list would end the film at its old duration
        grown[edit : edit + 4] = struct.pack(">I", 2**31 - 1)
        assert grown.index(b"mdat") < place  # so no offset of a frame has changed
        return bytes(grown)

    return rewrite
