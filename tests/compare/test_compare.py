"""The command: folders, files and videos, and what cannot be compared."""

import re
import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest

from stages import specimens
from stages.compare import __main__ as command
from stages.compare import vmaf
from stages.compare.__main__ import main
from stages.compare.pairs import is_video, pairs
from stages.errors import DarkroomError, ImageError, ModelError
from stages.evaluate import fidelity
from stages.images import encode_png

CAT, CUP = (np.ascontiguousarray(specimens.photograph(name)[100:228, 100:228]) for name in ("chelsea", "coffee"))
NOISY = np.clip(CAT + np.random.default_rng(0).normal(0, 10, CAT.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    def made(name, **pictures):
        home = tmp_path / name
        home.mkdir()
        for stem, pixels in pictures.items():
            (home / f"{stem}.png").write_bytes(encode_png(pixels))
        return home

    return made


@pytest.fixture
def video(tmp_path):
    def made(name, frames):
        file = tmp_path / f"{name}.mkv"
        with av.open(str(file), "w", format="matroska") as container:
            track = container.add_stream("ffv1", rate=10)
            track.height, track.width = frames[0].shape[:2]
            track.pix_fmt = "bgr0"  # without loss
            for frame in frames:
                container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(track.encode())
        return file

    return made


def said(one, other, *, lpips=False, rated=False):
    return command.report(one, other, "filters", lpips=lpips, rated=rated)


def numbers(line):
    return [float(each) for each in re.findall(r"-?\d+\.\d+", line)]


def test_pictures_of_the_same_name_are_compared(folder):
    lines = said(folder("a", cat=CAT, cup=CUP), folder("b", cat=NOISY, cup=CUP)).splitlines()
    psnr = fidelity.psnr(CAT, NOISY)
    assert lines[0] == "2 pairs, 1 identical"
    assert lines[1].endswith("(cat)")
    assert numbers(lines[1]) == pytest.approx([(psnr + fidelity.PSNR_CAP) / 2, psnr], abs=1e-4)
    ssim = fidelity.ssim(CAT, NOISY)
    assert numbers(lines[2]) == pytest.approx([(ssim + 1) / 2, ssim], abs=1e-4)
    assert len(lines) == 3  # too small for five scales, and no video


def test_identical_pictures_have_an_ssim_of_1(folder):
    one = folder("a", cat=CAT) / "cat.png"
    assert numbers(said(one, one).splitlines()[2]) == [1.0, 1.0]


def test_large_pictures_have_five_scales(folder):
    large = specimens.photograph("chelsea")[:180, :200]
    one = folder("a", cat=large) / "cat.png"
    assert said(one, one).splitlines()[3].startswith("ms_ssim")


def test_videos_are_compared_frame_by_frame_and_for_steadiness(video):
    rng = np.random.default_rng(0)
    steady = [CAT] * 4
    flicker = [np.clip(CAT + rng.normal(shift, 5, CAT.shape), 0, 255).astype(np.uint8) for shift in (0, 40, 0, 40)]
    one, other = video("steady", steady), video("flicker", flicker)
    assert [pair.name for pair in pairs(one, other)] == list("0123")
    assert all((pair.reference == CAT).all() for pair in pairs(one, other))
    lines = said(one, other).splitlines()
    assert lines[0] == "4 pairs, 0 identical"
    assert lines[-2].startswith("consistency_filters")
    (one_consistent, other_consistent), (one_error, other_error) = numbers(lines[-2]), numbers(lines[-1])
    assert one_consistent == 1 > other_consistent
    assert one_error == pytest.approx(0, abs=1e-6)
    assert other_error > 0.005


def test_a_picture_is_no_video(folder, video):
    home = folder("a", cat=CAT)
    assert not is_video(home)
    assert not is_video(home / "cat.png")
    assert is_video(video("v", [CAT]))


def faults(folder, video):
    small = np.zeros((10, 40, 3), np.uint8)
    one = folder("one", cat=CAT)
    (one.parent / "words.txt").write_text("no picture")
    twice = folder("twice", cat=CAT)
    (twice / "cat.webp").write_bytes(b"")
    return {
        "lacks": (one, folder("two", cup=CUP), r"one: has no cup|two: has no cat"),
        "empty": (folder("none"), folder("nothing"), "none: is empty; give folders"),
        "twice": (twice, one, "has cat.* and cat.*; give each picture a name"),
        "sizes": (one, folder("wide", cat=CAT[:, :100].copy()), "cat: 128 x 128 against 100 x 128 pixels"),
        "small": (folder("s", cat=small), folder("t", cat=small), "cat: 40 x 10 pixels; SSIM needs 11"),
        "length": (video("long", [CAT] * 3), video("short", [CAT] * 2), "short.mkv: ends after 2 frames"),
        "no picture": (one / "cat.png", one.parent / "words.txt", r"words.txt: not a picture.*; not a video"),
        "nothing": (one / "cat.png", one / "dog.png", "dog.png: No such file.*; give two files or two folders"),
        "folder and file": (one, one / "cat.png", "one: Is a directory; give two files or two folders"),
    }


KINDS = ("lacks", "empty", "twice", "sizes", "small", "length", "no picture", "nothing", "folder and file")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_compared_is_said(kind, folder, video, caplog):
    known = faults(folder, video)
    assert set(known) == set(KINDS)
    one, other, message = known[kind]
    with pytest.raises(ImageError, match=message):
        said(one, other)
    assert main([str(one), str(other)]) == 1


FFMPEG = """#!/bin/sh
printf '%s\\n' "$@" > "$ARGUMENTS"
{ending}
"""
LOG = '{"version": "3.0.0", "frames": [{"frameNum": 0, "metrics": {"vmaf": 97.5}}, {"frameNum": 1, "metrics": {"vmaf": 40}}]}'


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """An ffmpeg on the PATH that ends as it is told; it keeps its arguments in the file that comes back."""

    def made(ending):
        home = tmp_path / "bin"
        home.mkdir()
        (home / "ffmpeg").write_text(FFMPEG.format(ending=ending))
        (home / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
        monkeypatch.setenv("ARGUMENTS", str(home / "arguments"))
        return home / "arguments"

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    return made


def test_videos_are_rated_through_ffmpeg(video, ffmpeg):
    arguments = ffmpeg(f"echo '{LOG}' > log.json")
    one, other = video("one", [CAT, CAT]), video("other", [CAT, CUP])
    line = said(one, other, rated=True).splitlines()[-1]
    assert line == f"{'vmaf':22} mean 68.7500, worst 40.0000 (1); vmaf_v0.6.1, libvmaf 3.0.0"
    given = arguments.read_text().splitlines()
    assert [given[place + 1] for place, each in enumerate(given) if each == "-i"] == [str(other), str(one)]
    assert given.count("-protocol_whitelist") == 2
    assert "libvmaf=model=version=vmaf_v0.6.1:log_fmt=json:log_path=log.json" in given[given.index("-lavfi") + 1]


ENDINGS = {
    "no filter": ("echo \"[graph] No such filter: 'libvmaf'\" >&2; exit 1", r"ffmpeg has no libvmaf; pip install"),
    "no codec": (
        "echo one >&2; echo the codec is unknown >&2; exit 1",
        r"compare them \(the codec is unknown\); re-enc",
    ),
    "no log": ("exit 0", "it said nothing"),
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_an_ffmpeg_that_cannot_is_said(kind, video, ffmpeg):
    ending, message = ENDINGS[kind]
    ffmpeg(ending)
    with pytest.raises(DarkroomError, match=message):
        vmaf.ratings(video("one", [CAT]), video("other", [CAT]))


def test_without_ffmpeg_it_says_what_brings_one(video, ffmpeg, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match=r"VMAF: there is no ffmpeg; pip install 'darkroom\[video\]', or put"):
        said(video("one", [CAT]), video("other", [CAT]), rated=True)


def test_the_ffmpeg_of_the_extra_comes_first(ffmpeg, monkeypatch):
    ffmpeg("exit 1")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(get_ffmpeg_exe=lambda: "/there/ffmpeg"))
    assert vmaf.program() == "/there/ffmpeg"


def test_pictures_are_not_rated_as_videos(folder):
    with pytest.raises(ImageError, match="VMAF is of videos; give two, or leave --vmaf out"):
        said(folder("a", cat=CAT), folder("b", cat=CAT), rated=True)


class Apart:
    """A distance that needs no weights."""

    name = "lpips_alex"
    network = SimpleNamespace(least=31)

    def takes(self, pictures):
        return min(pictures[0].shape[:2]) >= 31

    def of(self, reals, others):
        return [float(np.abs(reals[0].astype(float) - others[0]).mean())]


def test_the_farthest_to_the_eye_is_the_worst(folder, monkeypatch):
    monkeypatch.setattr(command, "_lpips", Apart)
    lines = said(folder("a", cat=CAT, cup=CUP), folder("b", cat=NOISY, cup=CUP), lpips=True).splitlines()
    assert lines[-1].startswith("lpips_alex ")
    assert lines[-1].endswith("(cat)")
    mean, worst = numbers(lines[-1])
    assert worst > 1
    assert worst == pytest.approx(2 * mean, abs=1e-3)


def test_too_small_a_picture_for_lpips_is_said(folder, monkeypatch):
    monkeypatch.setattr(command, "_lpips", Apart)
    home = folder("a", cat=CAT[:30, :30])
    with pytest.raises(ImageError, match="cat: smaller than 31 x 31 pixels, which LPIPS needs; leave --lpips out"):
        said(home, home, lpips=True)


def test_the_command_takes_the_weights_of_conf(folder, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    home = folder("a", cat=CAT)
    assert main([str(home), str(home), "--lpips"]) == 1
    assert "alexnet-owt-7be5be79.pth: there is no such file; have it from https://download.pytorch.org" in caplog.text


def test_the_command_prints_its_lines(folder, capsys):
    one = folder("a", cat=CAT)
    assert main([str(one), str(one)]) == 0
    assert capsys.readouterr().out.startswith("1 pair, 1 identical\npsnr ")
